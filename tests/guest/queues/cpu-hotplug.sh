# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A CPU goes offline and online while fio writes and verifies: the commands of its queue
# end, new ones use the other queue, and afterwards its own again.
#@ timeout: 90
. /tests/guest/lib.sh
load_disk
cpu=/sys/devices/system/cpu/cpu1/online
verify rnvme0n1 --bsrange=512-64k --blockalign=512 --size=24m --iodepth=16 --numjobs=2 \
    --offset_increment=64m &
job=$!
wait_for 20 disk_busy rnvme0n1
rounds=0
while kill -0 "$job" 2>/dev/null; do
    echo 0 >$cpu || die "expected CPU 1 to go offline"
    dd if=/dev/rnvme0n1 of=/dev/null bs=4k count=16 iflag=direct status=none || die "expected a read to succeed with CPU 1 offline"
    echo 1 >$cpu || die "expected CPU 1 to come online"
    rounds=$((rounds + 1))
done
wait "$job" || die "fio failed"
((rounds >= 2)) || die "expected at least 2 rounds while fio worked, saw $rounds"
# Each CPU's queue works again.
for number in 0 1; do
    interrupts() { awk '/rnvme0q[12]$/ { n += $2 + $3 } END { print n + 0 }' /proc/interrupts; }
    before=$(interrupts)
    taskset -c $number dd if=/dev/rnvme0n1 of=/dev/null bs=4k count=16 iflag=direct status=none ||
        die "expected CPU $number to read"
    ((before + 16 <= $(interrupts))) || die "CPU $number: expected an interrupt for each of 16 reads"
done
unload
