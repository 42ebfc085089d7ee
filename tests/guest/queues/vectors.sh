# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A reset that leaves the controller fewer I/O queues, or gives it all back: each CPU's queue
# interrupts a CPU that is online, whichever CPU goes offline. No completion is found
# without its interrupt.
#@ machine: pair
#@ timeout: 120
. /tests/guest/lib.sh

ctrl=/sys/class/rnvme/rnvme0
read_on() { # CPU
    taskset -c "$1" timeout -k 1 20 dd if=/dev/rnvme0n1 of=/dev/null bs=4k count=8 iflag=direct \
        status=none || die "$what: expected CPU $1 to read"
}
queues() {
    find /sys/block/rnvme0n1/mq -mindepth 1 -maxdepth 1 -type d | wc -l
}
has_queues() {
    [[ $(queues) == "$1" ]]
}
# Each queue serves a CPU, and each CPU has one queue.
served() {
    cat /sys/block/rnvme0n1/mq/*/cpu_list | tr -s ', ' '\n' | sort | xargs
}
load_disk
counts="2 3 1 4"
# On the debug kernel each program that a test starts takes long.
! is_debug || counts="2 4"
for count in $counts; do
    hostile "set queues=$count"
    echo 1 >$ctrl/reset_controller || die "expected the reset to $count queues to succeed"
    wait_for 10 has_queues "$count"
    expect "CPUs with $count queues" "0 1 2 3" "$(served)"
    lost=$(<$ctrl/lost_interrupt_count)
    for away in 1 2 3; do
        echo 0 >/sys/devices/system/cpu/cpu$away/online || die "expected CPU $away to go offline"
        for cpu in 0 1 2 3; do
            what="$count queues, CPU $away offline"
            [[ $cpu == "$away" ]] || read_on $cpu
        done
        echo 1 >/sys/devices/system/cpu/cpu$away/online || die "expected CPU $away to come online"
        what="$count queues, CPU $away back"
        read_on $away
    done
    expect "completions without an interrupt, $count queues" "$lost" "$(<$ctrl/lost_interrupt_count)"
done
unload
