# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# 64 namespaces are 64 disks with their own sizes and block sizes. All work at the same
# time, share the queues, and are gone after rmmod.
#@ machine: many
#@ timeout: 90
#@ kernels: stock
. /tests/guest/lib.sh
disks() { find /dev -name 'rnvme0n*' -type b | wc -l; }
all_there() { (($(disks) == 64)); }

load
wait_for 30 all_there
expect "queues of all disks" 2 "$(find /sys/block/rnvme0n64/mq -mindepth 1 -maxdepth 1 -type d | wc -l)"
expect "namespaces of 4096 bytes" 32 "$(cat /sys/block/rnvme0n*/queue/logical_block_size | grep -c 4096)"
sectors=$(cat /sys/block/rnvme0n*/size | sort -n | uniq -c | awk '$2 < 65536 && $1 != 2')
expect "sizes of 1 to 31 MiB that not exactly two disks have" "" "$sectors"
pids=()
for ((disk = 2; disk < 64; disk++)); do
    dd if=/dev/rnvme0n$disk of=/dev/null bs=64k count=16 iflag=direct status=none &
    pids+=($!)
done
verify rnvme0n1 --bsrange=512-64k --size=2m --iodepth=16
verify rnvme0n64 --bsrange=4k-64k --size=2m --iodepth=16
for pid in "${pids[@]}"; do
    wait "$pid" || die "expected no error of the reads from the other disks"
done
unload
expect "disks after rmmod" 0 "$(disks)"
