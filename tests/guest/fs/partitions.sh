# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A GPT: three partitions appear, and writes to the middle one leave every block of its
# neighbours unchanged.
#@ timeout: 60
. /tests/guest/lib.sh
load_disk
sfdisk -q /dev/rnvme0n1 <<'TABLE' || die "sfdisk failed"
label: gpt
size=16MiB
size=24MiB
size=16MiB
TABLE
for part in 1 2 3; do
    wait_for 10 test -b /dev/rnvme0n1p$part
done
expect "size of the second partition" $((24 << 11)) "$(cat /sys/block/rnvme0n1/rnvme0n1p2/size)"
expect "start of the second partition" $((17 << 11)) "$(cat /sys/block/rnvme0n1/rnvme0n1p2/start)"
for part in 1 3; do
    dd if=/dev/urandom of=/tmp/side.$part bs=1M count=16 status=none
    dd if=/tmp/side.$part of=/dev/rnvme0n1p$part bs=1M oflag=direct status=none || die "writing to partition $part failed"
done
verify rnvme0n1p2 --bsrange=512-256k --blockalign=512 --size=24m --iodepth=16
for part in 1 3; do
    dd if=/dev/rnvme0n1p$part bs=1M iflag=direct status=none | cmp - /tmp/side.$part ||
        die "expected partition $part unchanged"
done
# The partitions appear again after a rescan of the table and after a reload of the driver.
blockdev --rereadpt /dev/rnvme0n1 || die "blockdev --rereadpt failed"
unload
[[ ! -e /dev/rnvme0n1p2 ]] || die "expected no partition without the driver, saw rnvme0n1p2"
load_disk
wait_for 10 test -b /dev/rnvme0n1p3
dd if=/dev/rnvme0n1p3 bs=1M iflag=direct status=none | cmp - /tmp/side.3 || die "expected partition 3 unchanged"
sfdisk -q --delete /dev/rnvme0n1 || die "sfdisk --delete failed"
unload
