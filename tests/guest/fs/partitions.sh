# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A GPT: three partitions appear, and writing to the middle one leaves its
# neighbours as they are, up to the last block.
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
    dd if=/tmp/side.$part of=/dev/rnvme0n1p$part bs=1M oflag=direct status=none || die "write"
done
verify rnvme0n1p2 --bsrange=512-256k --blockalign=512 --size=24m --iodepth=16
for part in 1 3; do
    dd if=/dev/rnvme0n1p$part bs=1M iflag=direct status=none | cmp - /tmp/side.$part ||
        die "partition $part has changed"
done
# They are found anew, by the kernel and by a driver that comes again.
blockdev --rereadpt /dev/rnvme0n1 || die "the table cannot be read again"
unload
[[ ! -e /dev/rnvme0n1p2 ]] || die "a partition is still there without the driver"
load_disk
wait_for 10 test -b /dev/rnvme0n1p3
dd if=/dev/rnvme0n1p3 bs=1M iflag=direct status=none | cmp - /tmp/side.3 || die "other data"
sfdisk -q --delete /dev/rnvme0n1 || die "the table cannot be removed"
unload
