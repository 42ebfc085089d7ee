# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A file system on the disk: what was copied to it is there after a remount,
# and fsck finds nothing.
#@ timeout: 60
. /tests/guest/lib.sh
load_disk
mkfs.ext4 -q -F /dev/rnvme0n1 200M || die "mkfs.ext4 failed"
mkdir -p /mnt/disk
mount -t ext4 /dev/rnvme0n1 /mnt/disk || die "it cannot be mounted"
copy_files /mnt/disk
# Small files, each on the disk before the next: journal, flush.
for i in 1 2 3 4 5 6 7 8; do
    dd if=/dev/urandom of=/mnt/disk/synced.$i bs=5000 count=3 conv=fsync status=none || die "fsync"
done
(cd /mnt/disk && sha256sum synced.*) >>/tmp/sums
umount /mnt/disk || die "it cannot be unmounted"
# Nothing of it in memory any more, and the driver anew.
unload
load_disk
e2fsck -f -n /dev/rnvme0n1 >/tmp/fsck 2>&1 || die "e2fsck: $(cat /tmp/fsck)"
mount -t ext4 -o ro /dev/rnvme0n1 /mnt/disk || die "it cannot be mounted again"
expect_files /mnt/disk
umount /mnt/disk
unload
