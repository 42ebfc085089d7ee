# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# insmod takes no device from the kernel's nvme driver. scripts/bind moves a device to
# rnvme and back, but refuses one whose disk is mounted, swap, open, of a pool, of a file system of
# several devices, or held by the kernel.  (The trace events come from nvme, which asks for features
# that QEMU lacks.)
#@ kernels: stock
#@ timeout: 90
#@ allow-trace: pci_nvme_err_req_status
. /tests/guest/lib.sh
modprobe nvme || die "modprobe nvme failed"
wait_for 20 test -b /dev/nvme0n1
path=$(readlink -f /sys/class/nvme/nvme0/device)
bdf=${path##*/}
driver() { basename "$(readlink -f "/sys/bus/pci/devices/$bdf/driver")"; }
load
expect "the device's driver after insmod" nvme "$(driver)"
[[ ! -e /dev/rnvme0n1 && ! -e /sys/class/rnvme/rnvme0 ]] || die "expected insmod to leave nvme's device alone, but rnvme took it"
put_noise nvme0n1 100

mkfs.ext4 -q -F /dev/nvme0n1 20M
mkdir -p /mnt/disk
mount -t ext4 /dev/nvme0n1 /mnt/disk || die "mount failed"
expect_failure bash /scripts/bind "$bdf"
expect_like "the reason" "*nvme0n1 is mounted*" "$failed_with"
expect "the driver of a mounted disk" nvme "$(driver)"
umount /mnt/disk
mkswap /dev/nvme0n1 >/dev/null
if swapon /dev/nvme0n1 2>/dev/null; then
    expect_failure bash /scripts/bind "$bdf"
    expect_like "the reason" "*nvme0n1 is swap*" "$failed_with"
    expect "the driver of a disk with swap" nvme "$(driver)"
    swapoff /dev/nvme0n1
fi

exec 9</dev/nvme0n1
expect_failure bash -c "exec 9<&-; exec bash /scripts/bind $bdf"
expect_like "the reason" "*nvme0n1 is open in a program*" "$failed_with"
expect "the driver of a disk that is open" nvme "$(driver)"
exec 9<&-

# scripts/bind must refuse the disk with this reason.
refuses() { # REASON
    expect_failure bash /scripts/bind "$bdf"
    expect_like "the reason" "*nvme0n1 $1*" "$failed_with"
    expect "the driver of a disk that $1" nvme "$(driver)"
}
# Device-mapper, as LVM and dm-crypt use it.
modprobe dm-mod
dmsetup --noudevsync --noudevrules create held --table "0 2048 linear /dev/nvme0n1 0" || die "dmsetup failed"
refuses "is used by dm-0 (held)"
dmsetup --noudevsync --noudevrules remove held || die "dmsetup failed"
# Another device of a btrfs, as sysfs shows it: only the first is in the table of mounts.
mount -t tmpfs tmpfs /sys/fs || die "mount failed"
mkdir -p /sys/fs/btrfs/0123-4567/devices
ln -s "$(readlink -f /sys/block/nvme0n1)" /sys/fs/btrfs/0123-4567/devices/nvme0n1
refuses "is used by btrfs, file system 0123-4567"
umount /sys/fs
# A pool, as zpool shows it.
mkdir -p /tmp/zfs
cat >/tmp/zfs/zpool <<'SCRIPT'
#!/bin/bash
[[ $* == "status -LP" ]] || exit 2
printf '  pool: %s\n state: ONLINE\nconfig:\n\tNAME STATE READ WRITE CKSUM\n' tank
printf '\t%s ONLINE 0 0 0\n' tank mirror-0 /dev/nvme0n12 /dev/nvme0n1
SCRIPT
chmod +x /tmp/zfs/zpool
PATH=/tmp/zfs:$PATH refuses "is used by the ZFS pool tank"
# The kernel holds a disk without any trace: the journal of a file system on another disk, as a pool
# without zpool. ZFS itself cannot run here.
modprobe loop
truncate -s 20M /tmp/image
busybox losetup /dev/loop0 /tmp/image || die "losetup failed"
mke2fs -q -F -O journal_dev -b 4096 /dev/nvme0n1 2048 || die "mke2fs failed"
mke2fs -q -F -t ext4 -b 4096 -J device=/dev/nvme0n1 /dev/loop0 || die "mke2fs with a journal failed"
mount -t ext4 /dev/loop0 /mnt/disk || die "mount with a journal failed"
refuses "or a partition of it is used by the kernel"
umount /mnt/disk
busybox losetup -d /dev/loop0
dd if=/dev/zero of=/dev/nvme0n1 bs=64k count=1 oflag=direct conv=nocreat status=none

bash /scripts/bind "$bdf" || die "bind failed"
expect "the driver after bind" rnvme "$(driver)"
wait_for 20 test -b /dev/rnvme0n1
[[ ! -e /dev/nvme0n1 ]] || die "expected no disk of nvme after the move, saw nvme0n1"
expect_noise rnvme0n1 100
put_noise rnvme0n1 200
bash /scripts/bind --back "$bdf" || die "bind --back failed"
expect "the driver after bind --back" nvme "$(driver)"
wait_for 20 test -b /dev/nvme0n1
expect "driver_override" "(null)" "$(cat "/sys/bus/pci/devices/$bdf/driver_override")"
expect_noise nvme0n1 200
unload
remove_module modprobe -r nvme || die "modprobe -r nvme failed"
