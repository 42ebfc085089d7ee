# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Fifty times insmod, read, rmmod (eight times on the debug kernel, where each takes 2.8 CPU seconds):
# nothing of the driver stays behind.
#@ timeout: 150
. /tests/guest/lib.sh
rounds=50
! is_debug || rounds=8
load_disk
put_noise rnvme0n1 7
unload
for ((round = 1; round <= rounds; round++)); do
    load
    [[ -b /dev/rnvme0n1 ]] || wait_for 20 test -b /dev/rnvme0n1
    dd if=/dev/rnvme0n1 bs=4k skip=$((7 * 256 + round)) count=1 iflag=direct status=none |
        cmp - <(dd if=/tmp/noise bs=4k skip=$round count=1 status=none) ||
        die "round $round: expected the data written, saw other data"
    unload
    [[ ! -e /dev/rnvme0n1 ]] || die "round $round: expected no disk after rmmod, saw rnvme0n1"
done
for left in /sys/class/rnvme /sys/bus/pci/drivers/rnvme /sys/block/rnvme*; do
    [[ ! -e $left ]] || die "expected nothing of the driver after rmmod, saw $left"
done
! grep rnvme /proc/interrupts || die "expected no interrupt of the driver after rmmod, saw the line above"
