# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The hostile controller with no fault armed works with the kernel's own driver and with
# rnvme: data, flushes, discards, zeroes, unbind, bind, function level reset.  (So the
# failures that the other tests see come from their faults.)
#@ machine: hostile
#@ allow-hostile: bus mastering is set before
#@ timeout: 60
. /tests/guest/lib.sh

# I/O that any disk must do.
exercise() { # DISK
    expect "$1: sectors" 131072 "$(<"/sys/block/$1/size")"
    verify "$1" --bsrange=512-128k --blockalign=512 --size=2m --iodepth=16
    put_noise "$1" 8
    blockdev --flushbufs "/dev/$1"
    xfs_io -d -c "pwrite -V1 -q 0 64k" -c fsync "/dev/$1" || die "$1: pwrite and fsync failed"
    blkdiscard -o 8M -l 512k "/dev/$1" || die "$1: blkdiscard failed"
    blkdiscard -z -o 8704k -l 256k "/dev/$1" || die "$1: blkdiscard -z failed"
    cmp -n 786432 /dev/zero <(dd if="/dev/$1" bs=64k skip=128 iflag=direct status=none count=12) ||
        die "$1: expected zeroes in the discarded and zeroed ranges"
    dd if="/dev/$1" bs=256k skip=35 iflag=direct status=none count=1 |
        cmp - <(tail -c 256k /tmp/noise) || die "$1: expected the data after these ranges unchanged"
}

# The kernel's driver first; one kernel is enough for it.
shutdowns=1
if ! is_debug; then
    modprobe nvme || die "modprobe nvme failed"
    wait_for 20 test -b /dev/nvme0n1
    exercise nvme0n1
    remove_module rmmod nvme || die "rmmod nvme failed"
    shutdowns=2
fi

# Also as a drive that misreads lists which are not aligned to 512 bytes, and reads 4 KiB of
# ranges.
host hostile set misread=1
# The kernel's driver has caused some.
complaints=$(host hostile count complaints)
load_disk
exercise rnvme0n1
put_noise rnvme0n1 8
bdf=$(pci_of rnvme0)
resets=$(host hostile count resets)
echo "$bdf" >/sys/bus/pci/drivers/rnvme/unbind
expect "shutdowns" $shutdowns "$(host hostile count shutdowns)"
echo 1 >"/sys/bus/pci/devices/$bdf/reset" || die "the function level reset failed"
expect "function level resets" $((resets + 1)) "$(host hostile count resets)"
echo "$bdf" >/sys/bus/pci/drivers/rnvme/bind
wait_for 20 test -b /dev/rnvme0n1
expect_noise rnvme0n1 8
unload
expect "complaints" "$complaints" "$(host hostile count complaints)"
