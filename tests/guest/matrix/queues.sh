# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A disk has as many hardware queues as the controller grants and has interrupt vectors
# for, at most one a CPU, as deep as its rings. I/O raises the interrupt of each queue.
#@ machine: matrix
#@ timeout: 90
. /tests/guest/lib.sh
load
wait_for 30 test -b /dev/rnvme9n1
# Controllers that are probed side by side have their interrupts in any order.
names() { awk -v name="^rnvme$1q" '$NF ~ name { print $NF }' /proc/interrupts | sort | tr '\n' ' '; }
check() { # NUMBER QUEUES TAGS NAMES-OF-INTERRUPTS
    local disk=rnvme${1}n1 dirs before quiet
    dirs=(/sys/block/"$disk"/mq/*)
    expect "hardware queues of $disk" "$2" ${#dirs[@]}
    expect "tags of $disk" "$3" "$(cat "/sys/block/$disk/mq/0/nr_tags")"
    expect "interrupts of $disk" "$4 " "$(names "$1")"
    expect "CPUs that the queues of $disk serve" "0 1 2 3" "$(
        cat /sys/block/"$disk"/mq/*/cpu_list | grep -o '[0-9]*' | sort | tr '\n' ' ' | sed 's/ $//')"
    # Reads on each CPU use every vector of the I/O queues.
    before=$(awk -v name="^rnvme$1q" '$NF ~ name { print $NF, $2 + $3 + $4 + $5 }' /proc/interrupts)
    for cpu in 0 1 2 3; do
        taskset -c $cpu dd if="/dev/$disk" of=/dev/null bs=4k count=2 iflag=direct status=none ||
            die "$disk: expected CPU $cpu to read"
    done
    quiet=$(awk -v name="^rnvme$1q" '$NF ~ name { print $NF, $2 + $3 + $4 + $5 }' /proc/interrupts |
        grep -F -x -e "$before" | grep -v 'q0 ')
    expect "interrupts of $disk that did not come" "" "$quiet"
}
all="q0 q1 q2 q3 q4"
list() { local word; for word in $2; do printf 'rnvme%s%s ' "$1" "$word"; done | sed 's/ $//'; }
check 0 4 1023 "$(list 0 "$all")"
if ! is_debug; then
    check 1 4 1023 "$(list 1 "$all")"
    check 3 4 31 "$(list 3 "$all")"
    check 9 4 1023 "$(list 9 "$all")"
fi
check 2 4 3 "$(list 2 "$all")"
check 4 1 1023 "$(list 4 "q0 q1")"
check 5 2 1023 "$(list 5 "q0 q1 q2")"
check 6 1 1023 "$(list 6 "q0")"
check 7 1 1023 "$(list 7 "q0 q1")"
check 8 4 1023 "$(list 8 "$all")"
unload
