# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A CPU goes offline and online while fio writes and verifies: the commands of its queue
# end, new ones use the other queue, and afterwards its own again.
#@ timeout: 90
. /tests/guest/lib/recovery.sh
load_disk
cpu=/sys/devices/system/cpu/cpu1/online
start_oracle rnvme0n1 --numjobs=2 --offset_increment=64m --bsrange=512-64k --blockalign=512 \
    --serialize_overlap=1 --group_reporting
rounds=3
! is_debug || rounds=2
for ((round = 1; round <= rounds; round++)); do
    oracle_goes_on "round $round"
    echo 0 >$cpu || die "expected CPU 1 to go offline"
    dd if=/dev/rnvme0n1 of=/dev/null bs=4k count=16 iflag=direct status=none || die "expected a read to succeed with CPU 1 offline"
    echo 1 >$cpu || die "expected CPU 1 to come online"
done
oracle_goes_on "the last round"
end_oracle
# Each CPU's queue works again.
for number in 0 1; do
    interrupts() { awk '/rnvme0q[12]$/ { n += $2 + $3 } END { print n + 0 }' /proc/interrupts; }
    before=$(interrupts)
    taskset -c $number dd if=/dev/rnvme0n1 of=/dev/null bs=4k count=16 iflag=direct status=none ||
        die "expected CPU $number to read"
    ((before + 16 <= $(interrupts))) || die "CPU $number: expected an interrupt for each of 16 reads"
done
unload
