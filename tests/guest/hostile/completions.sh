# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Wrong completions that must not cost any I/O: for commands that are not in flight,
# twice, with another SQID or SQHD, with the old phase tag first, slow but before the
# timeout, in another order, with a missing interrupt, with hundreds of interrupts.  The
# I/O that runs at the same time has no error and the right data.
#@ machine: hostile
#@ timeout: 60
. /tests/guest/lib.sh
load_disk
fio --name=verify --filename=/dev/rnvme0n1 --allow_file_create=0 --direct=1 --ioengine=io_uring --rw=randwrite --bs=4k \
    --iodepth=16 --size=256k --verify=crc32c --verify_fatal=1 --loops=100000 >/tmp/fio.log 2>&1 &
fio=$!
wait_for 30 disk_busy rnvme0n1

while IFS='|' read -r fault arguments; do
    answer=$(host hostile "new; arm $fault times=5 queue=io $arguments; await $fault 5 20") ||
        die "$fault $arguments: $answer; fio: $(tail -n 5 /tmp/fio.log)"
    kill -0 $fio || die "$fault $arguments: expected fio to run, it ended: $(cat /tmp/fio.log)"
done <<'TABLE'
stray|op=2 ms=20
stray|op=1 ms=20
stray|cid=0xfff
twice|
sqid|value=0xffff
sqid|value=0
sqhd|value=0xffff
oldphase|ms=5
late|ms=300
hold|count=8
storm|count=200
TABLE

hostile "new; arm nointr queue=io; await nointr 1 20"
hostile "irq 0 500; irq 1 500; irq 2 500; irq 8 5; irq 1; irq 2"
kill -0 $fio || die "expected fio to run after extra interrupts: $(cat /tmp/fio.log)"
kill -INT $fio
wait_gone 20 kill -0 $fio
expect_like "fio's end" "*err= 0*" "$(cat /tmp/fio.log)"
verify rnvme0n1 --bs=4k --size=512k --iodepth=16
unload
