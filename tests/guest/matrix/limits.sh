# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Queue limits: the largest transfer from MDTS, block sizes, the alignments that PRPs
# need, and the volatile write cache.
#@ machine: matrix
#@ kernels: stock
. /tests/guest/lib.sh
load
wait_for 30 test -b /dev/rnvme9n1
limit() { # NUMBER LIMIT EXPECTED
    expect "$2 of rnvme${1}n1" "$3" "$(cat "/sys/block/rnvme${1}n1/queue/$2")"
}
limit 0 max_hw_sectors_kb 2048
limit 1 max_hw_sectors_kb 8
limit 2 max_hw_sectors_kb 512
limit 9 max_hw_sectors_kb 512
for number in 0 1 8; do
    limit $number logical_block_size 512
    limit $number physical_block_size 512
done
limit 9 logical_block_size 4096
limit 9 physical_block_size 4096
for number in 0 1 9; do
    limit $number virt_boundary_mask 0
    limit $number dma_alignment 3
    (($(cat /sys/block/rnvme${number}n1/queue/max_segments) >= 127)) ||
        die "expected at least 127 segments, saw $(cat /sys/block/rnvme${number}n1/queue/max_segments)"
    limit $number rotational 0
    limit $number write_cache "write back"
    limit $number fua 1
done
# QEMU reports a volatile write cache (VWC) even with write-cache=off.
limit 8 write_cache "write back"
# Write Zeroes has no data, but Linux limits it to the largest transfer.
limit 0 write_zeroes_max_bytes $((2 << 20))
limit 1 write_zeroes_max_bytes $((8 << 10))
limit 0 max_discard_segments 255
(($(cat /sys/block/rnvme0n1/queue/discard_max_hw_bytes) >= 1 << 30)) || die "expected discards of at least 1 GiB"
unload
