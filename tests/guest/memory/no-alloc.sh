# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# No allocation in the I/O path: every allocation with the module on the stack would fail,
# and none is even tried while 4 KiB reads and writes run.
#@ kernels: debug
#@ timeout: 60
#@ machine: bookless
. /tests/guest/lib.sh
load_disk

text=$(($(cat /sys/module/rnvme/sections/.text)))
size=$(awk '/^rnvme / { print $2 }' /proc/modules)
budget=1000000
arm() { # KIND PROBABILITY
    local knobs=/sys/kernel/debug/$1
    [[ -d $knobs ]] || skip "this kernel cannot make allocations fail"
    printf '0x%x' $text >"$knobs"/require-start
    printf '0x%x' $((text + size)) >"$knobs"/require-end
    echo N >"$knobs"/ignore-gfp-wait
    echo 0 >"$knobs"/verbose
    echo 1 >"$knobs"/interval
    echo $budget >"$knobs"/times
    echo "$2" >"$knobs"/probability
}
echo 0 >/sys/kernel/debug/fail_page_alloc/min-order
kinds="failslab fail_page_alloc"

# First show that the test would notice an allocation: binding allocates.
bdf=$(pci_of rnvme0)
echo "$bdf" >/sys/bus/pci/drivers/rnvme/unbind
for kind in $kinds; do arm "$kind" 100; done
(echo "$bdf" >/sys/bus/pci/drivers/rnvme/bind) 2>/dev/null && die "expected bind to fail without memory"
for kind in $kinds; do echo 0 >"/sys/kernel/debug/$kind/probability"; done
(($(cat /sys/kernel/debug/failslab/times) < budget)) || die "expected failed allocations while binding, saw none"
echo "$bdf" >/sys/bus/pci/drivers/rnvme/bind
wait_for 20 test -b /dev/rnvme0n1

for kind in $kinds; do arm "$kind" 100; done
fio --name=quiet --filename=/dev/rnvme0n1 --allow_file_create=0 --direct=1 --ioengine=io_uring --rw=randrw --bs=4k \
    --iodepth=8 --size=64m --number_ios=500 >/tmp/fio.log 2>&1 || die "fio: $(cat /tmp/fio.log)"
for kind in $kinds; do
    echo 0 >"/sys/kernel/debug/$kind/probability"
    expect "allocations of the driver for requests ($kind)" $budget \
        "$(cat "/sys/kernel/debug/$kind/times")"
done
unload
