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

# Only what has the module on its stack fails, and not within ACPI's interpreter,
# which enabling a PCI device runs: that uses freed objects when it is out of memory.
acpi=$(awk '$3 ~ /^acpi_(ds|ex|ns|ps|rs|ut)_/ && $2 ~ /[tT]/ { print $1 }' /proc/kallsyms | sort)
text=$(($(cat /sys/module/rnvme/sections/.text)))
size=$(awk '/^rnvme / { print $2 }' /proc/modules)
for kind in failslab fail_page_alloc; do
    knobs=/sys/kernel/debug/$kind
    [[ -d $knobs ]] || skip "this kernel cannot make allocations fail"
    printf '0x%x' $text >$knobs/require-start
    printf '0x%x' $((text + size)) >$knobs/require-end
    echo "0x${acpi%%$'\n'*}" >$knobs/reject-start
    echo "0x${acpi##*$'\n'}" >$knobs/reject-end
    echo N >$knobs/ignore-gfp-wait
    echo 0 >$knobs/verbose
done
echo 0 >/sys/kernel/debug/fail_page_alloc/min-order
echo N >/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem

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
for kind in failslab fail_page_alloc; do
    echo Y >/sys/kernel/debug/$kind/ignore-gfp-wait
    echo 0 >/sys/kernel/debug/$kind/require-end
done
unload
