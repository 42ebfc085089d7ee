# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The ends of the parameters' ranges work and have their effect.
#@ timeout: 60
. /tests/guest/lib.sh
queue=/sys/block/rnvme0n1/queue
queues() { find /sys/block/rnvme0n1/mq -mindepth 1 -maxdepth 1 -type d | wc -l; }
for depth in 2 3 4095; do
    load_disk io_queue_depth=$depth
    # One entry of a ring stays free; QEMU's rings have at most 2048 entries.
    want=$(((depth < 2048 ? depth : 2048) - 1))
    expect "nr_requests with io_queue_depth=$depth" $want "$(cat $queue/nr_requests)"
    verify rnvme0n1 --bsrange=512-128k --blockalign=512 --size=2m --iodepth=32
    unload
done
load_disk
expect "hardware queues of two CPUs" 2 "$(queues)"
expect "io_timeout of the disk in ms" 30000 "$(cat $queue/io_timeout)"
unload
for value in 1 65535; do
    # The longest timeout is a day: for users who want none.
    load_disk io_queues=$value io_timeout=$((value == 1 ? 1 : 4294967295)) admin_timeout=4294967295
    expect "hardware queues with io_queues=$value" $((value < 2 ? value : 2)) "$(queues)"
    expect "io_timeout of the disk in ms" $((value == 1 ? 1000 : 86400000)) "$(cat $queue/io_timeout)"
    verify rnvme0n1 --bs=4k --size=1m --iodepth=32 --numjobs=2 --offset_increment=64m
    unload
done
# More write and poll queues than there are: one queue is left for all other I/O.
load_disk write_queues=65535 poll_queues=65535 sgl_threshold=8388608
expect "poll queues" 1 "$(cat $queue/io_poll)"
expect "interrupts of I/O queues" 1 "$(grep -c 'rnvme0q[1-9]' /proc/interrupts)"
verify rnvme0n1 --bs=64k --size=1m --iodepth=8
verify rnvme0n1 --bs=4k --size=1m --iodepth=8 --hipri
unload
