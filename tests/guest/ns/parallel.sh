# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# I/O to all six disks of two controllers at the same time. The namespaces of a controller
# share queues and tags; no data gets into another namespace's blocks.
#@ machine: namespaces
#@ timeout: 90
. /tests/guest/lib.sh
load
wait_for 20 test -b /dev/rnvme1n3
jobs=() size=16m
! is_debug || size=6m
for disk in rnvme{0,1}n{1,2,3}; do
    jobs+=("--name=$disk" "--filename=/dev/$disk" "--randseed=$RANDOM")
done
fio --direct=1 --ioengine=io_uring --rw=randwrite --bsrange=4k-256k --size=$size --iodepth=16 \
    --verify=crc32c --verify_fatal=1 "${jobs[@]}" >/tmp/fio.log 2>&1 || die "fio: $(cat /tmp/fio.log)"
expect "jobs that read" 6 "$(grep -c '^ *read: IOPS' /tmp/fio.log)"
unload
