# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The same with XFS, whose log writes use FUA and flushes, and direct I/O of
# many sizes within a file.
#@ timeout: 60
. /tests/guest/lib.sh
load_disk
mkfs.xfs -q -f -d size=400m /dev/rnvme0n1 || die "mkfs.xfs failed"
mkdir -p /mnt/disk
mount -t xfs /dev/rnvme0n1 /mnt/disk || die "it cannot be mounted"
copy_files /mnt/disk
fio --name=file --directory=/mnt/disk --rw=randwrite --bsrange=4k-256k --size=8m --direct=1 \
    --ioengine=libaio --iodepth=8 --fsync=16 --verify=crc32c --verify_fatal=1 >/tmp/fio.log 2>&1 ||
    die "fio: $(cat /tmp/fio.log)"
(cd /mnt/disk && sha256sum file.*) >>/tmp/sums
umount /mnt/disk || die "it cannot be unmounted"
unload
load_disk
xfs_repair -n /dev/rnvme0n1 >/tmp/fsck 2>&1 || die "xfs_repair: $(cat /tmp/fsck)"
mount -t xfs /dev/rnvme0n1 /mnt/disk || die "it cannot be mounted again"
expect_files /mnt/disk
umount /mnt/disk
unload
