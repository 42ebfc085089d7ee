# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# As ext4.sh with XFS, whose log writes use FUA and flushes, and with direct I/O of many
# sizes within a file.
#@ timeout: 60
. /tests/guest/lib.sh
load_disk
mkfs.xfs -q -f -d size=400m /dev/rnvme0n1 || die "mkfs.xfs failed"
mkdir -p /mnt/disk
mount -t xfs /dev/rnvme0n1 /mnt/disk || die "mount failed"
copy_files /mnt/disk
fio --name=file --directory=/mnt/disk --rw=randwrite --bsrange=4k-256k --size=8m --direct=1 \
    --ioengine=libaio --iodepth=8 --fsync=16 --verify=crc32c --verify_fatal=1 >/tmp/fio.log 2>&1 ||
    die "fio: $(cat /tmp/fio.log)"
(cd /mnt/disk && sha256sum file.*) >>/tmp/sums
umount /mnt/disk || die "umount failed"
unload
load_disk
xfs_repair -n /dev/rnvme0n1 >/tmp/fsck 2>&1 || die "expected no error of xfs_repair: $(cat /tmp/fsck)"
mount -t xfs /dev/rnvme0n1 /mnt/disk || die "the second mount failed"
expect_files /mnt/disk
umount /mnt/disk
unload
