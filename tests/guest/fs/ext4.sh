# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A file system on the disk: files that were copied to it are the same after a remount,
# and fsck finds no error.
#@ timeout: 60
. /tests/guest/lib.sh
load_disk
mkfs.ext4 -q -F /dev/rnvme0n1 200M || die "mkfs.ext4 failed"
mkdir -p /mnt/disk
mount -t ext4 /dev/rnvme0n1 /mnt/disk || die "mount failed"
copy_files /mnt/disk
# Small files with an fsync each: journal commits and flushes.
for i in 1 2 3 4 5 6 7 8; do
    dd if=/dev/urandom of=/mnt/disk/synced.$i bs=5000 count=3 conv=fsync status=none || die "dd with fsync failed"
done
(cd /mnt/disk && sha256sum synced.*) >>/tmp/sums
umount /mnt/disk || die "umount failed"
# Reloading the driver drops what is cached of the disk.
unload
load_disk
e2fsck -f -n /dev/rnvme0n1 >/tmp/fsck 2>&1 || die "expected no error of e2fsck: $(cat /tmp/fsck)"
mount -t ext4 -o ro /dev/rnvme0n1 /mnt/disk || die "the second mount failed"
expect_files /mnt/disk
umount /mnt/disk
unload
