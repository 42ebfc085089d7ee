# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The hostile controller while it behaves is a good one, for the kernel's own
# driver and for this one: data, flushes, discards, zeroes, unbind, bind, reset
# of the function.  (So what the other tests see comes from their faults.)
#@ machine: hostile
#@ timeout: 60
. /tests/guest/lib.sh

# What any disk must do.
exercise() { # DISK
    expect "$1: sectors" 131072 "$(<"/sys/block/$1/size")"
    verify "$1" --bsrange=512-128k --blockalign=512 --size=2m --iodepth=16
    put_noise "$1" 8
    blockdev --flushbufs "/dev/$1"
    xfs_io -d -c "pwrite -V1 -q 0 64k" -c fsync "/dev/$1" || die "$1: no fsync"
    blkdiscard -o 8M -l 512k "/dev/$1" || die "$1: no discard"
    blkdiscard -z -o 8704k -l 256k "/dev/$1" || die "$1: no write zeroes"
    cmp -n 786432 /dev/zero <(dd if="/dev/$1" bs=64k skip=128 iflag=direct status=none count=12) ||
        die "$1: not zero"
    dd if="/dev/$1" bs=256k skip=35 iflag=direct status=none count=1 |
        cmp - <(tail -c 256k /tmp/noise) || die "$1: too much is zero"
}

# With the kernel's driver, which need not be looked at as closely.
shutdowns=1
if [[ ! -e /sys/kernel/debug/kmemleak ]]; then
    modprobe nvme || die "there is no nvme module"
    wait_for 20 test -b /dev/nvme0n1
    exercise nvme0n1
    rmmod nvme
    shutdowns=2
fi

load_disk
exercise rnvme0n1
put_noise rnvme0n1 8
bdf=$(pci_of rnvme0)
resets=$(host hostile count resets)
echo "$bdf" >/sys/bus/pci/drivers/rnvme/unbind
expect "shutdowns" $shutdowns "$(host hostile count shutdowns)"
echo 1 >"/sys/bus/pci/devices/$bdf/reset" || die "the function cannot be reset"
expect "function level resets" $((resets + 1)) "$(host hostile count resets)"
echo "$bdf" >/sys/bus/pci/drivers/rnvme/bind
wait_for 20 test -b /dev/rnvme0n1
expect_noise rnvme0n1 8
unload
expect "complaints" 0 "$(host hostile count complaints)"
