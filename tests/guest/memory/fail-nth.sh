# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Each allocation of the probe fails once, the first, the second and so on,
# until one probe has none left to fail: each time the device stays unbound
# (or works), nothing leaks and nothing is freed twice.
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
# There are some thousands, many of them alike (tags, pages for lists): a sample will do.
for ((n = 1; n < 20000; n += n < 60 ? 1 : n / 8)); do
    # The number is the task's own: in a subshell, whose builtins do the rest.
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
        [[ ! -e /sys/class/rnvme/rnvme0 ]] || die "allocation $n: a class device stayed behind"
    fi
done
((n < 20000)) || die "the probe does not end"
((failed >= 20)) || die "only $failed of $n failing allocations made the probe fail"
echo "$n allocations, $failed of them needed"
wait_for 20 test -b /dev/rnvme0n1
verify rnvme0n1 --bs=4k --size=512k --iodepth=16
fail_none
unload
