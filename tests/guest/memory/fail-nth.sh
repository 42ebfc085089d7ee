# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Each allocation of the probe fails once: the first, the second and so on, until a probe
# has fewer allocations. Each time the device stays unbound (or works), nothing leaks and
# nothing is freed twice.
# (genirq warns when it removes a /proc/irq entry that it could not make.)
#@ kernels: debug
#@ timeout: 150
#@ allow-log: Call Trace
#@ allow-log: WARNING: fs/proc/generic.c
. /tests/guest/lib.sh
load_disk
bdf=$(pci_of rnvme0)
driver=/sys/bus/pci/drivers/rnvme
echo "$bdf" >$driver/unbind

fail_ours

failed=0
# The probe makes thousands of allocations, many of them alike (tags, pages of lists): from
# the 40th on a sample suffices.
for ((n = 1; n < 20000; n += n < 40 ? 1 : n / 5)); do
    # fail-nth counts for one task: a subshell, which uses builtins only.
    left=$(
        echo $n >/proc/self/fail-nth
        echo "$bdf" 2>/dev/null >$driver/bind
        read -r left </proc/self/fail-nth
        echo 0 >/proc/self/fail-nth
        echo "$left"
    )
    if [[ -e $driver/$bdf ]]; then
        ((left == 0)) || break
        echo "$bdf" >$driver/unbind
    else
        failed=$((failed + 1))
        [[ ! -e /sys/class/rnvme/rnvme0 ]] || die "allocation $n: expected no class device after a failed probe, saw rnvme0"
    fi
done
((n < 20000)) || die "expected a probe with fewer than 20000 allocations"
((failed >= 20)) || die "expected at least 20 failed probes, saw $failed ($n allocations)"
echo "$n allocations, $failed of them needed"
wait_for 20 test -b /dev/rnvme0n1
verify rnvme0n1 --bs=4k --size=512k --iodepth=16
fail_none
unload
