# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Fifty times insmod, read, rmmod: nothing is used up and nothing stays.
#@ timeout: 150
. /tests/guest/lib.sh
load_disk
put_noise rnvme0n1 7
unload
for ((round = 1; round <= 50; round++)); do
    load
    [[ -b /dev/rnvme0n1 ]] || wait_for 20 test -b /dev/rnvme0n1
    dd if=/dev/rnvme0n1 bs=4k skip=$((7 * 256 + round)) count=1 iflag=direct status=none |
        cmp - <(dd if=/tmp/noise bs=4k skip=$round count=1 status=none) ||
        die "round $round: other data than was written"
    unload
    [[ ! -e /dev/rnvme0n1 ]] || die "round $round: the disk is still there"
done
for left in /sys/class/rnvme /sys/bus/pci/drivers/rnvme /sys/block/rnvme*; do
    [[ ! -e $left ]] || die "still there without the module: $left"
done
! grep rnvme /proc/interrupts || die "an interrupt of the driver is still requested"
