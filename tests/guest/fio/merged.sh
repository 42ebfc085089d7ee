# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Requests that the block layer merges from several small ones: their segments are in
# several bios, adjacent in memory or not.
#@ timeout: 60
. /tests/guest/lib.sh
load_disk
before=$(awk '{ print $6 }' /sys/block/rnvme0n1/stat)
# Sequential 4 KiB writes, 16 in one call: the plug merges them.
for mem in malloc mmap; do
    verify rnvme0n1 --rw=write --ioengine=libaio --bs=4k --size=8m --iodepth=32 --mem=$mem \
        --iodepth_batch_submit=16 --iodepth_batch_complete_min=16
done
# Through the page cache: as large as the limits allow.
verify rnvme0n1 --rw=write --direct=0 --ioengine=psync --bs=4k --size=16m --end_fsync=1 \
    --invalidate=1
merged=$((($(awk '{ print $6 }' /sys/block/rnvme0n1/stat)) - before))
((merged > 100)) || die "expected hundreds of merged writes, saw $merged"
unload
