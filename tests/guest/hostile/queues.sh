# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A controller that has fewer I/O queues after a reset, then none, then all again, or that
# refuses a queue which it granted, or keeps its queues over a reset. I/O goes on with the queues that exist, including requests
# on their way to a lost queue. It fails while there is no queue, and each CPU can read
# afterwards.
#@ machine: hostile
#@ timeout: 90
. /tests/guest/lib/recovery.sh
# With a volatile cache, so that the kernel sends flushes, too.
hostile "set volatile=1"
load_disk io_timeout=2 admin_timeout=2 io_queue_depth=64
put_noise rnvme0n1 8
bdf=$(pci_of $disk)
reset() {
    echo 1 >/sys/class/rnvme/rnvme0/reset_controller || die "the reset failed"
}
queues() {
    find /sys/block/rnvme0n1/mq -mindepth 1 -maxdepth 1 -type d | wc -l
}
has_queues() {
    [[ $(queues) == "$1" ]]
}
read_on() { # CPU
    taskset -c "$1" timeout 10 dd if=/dev/rnvme0n1 of=/dev/null bs=4k count=16 iflag=direct status=none
}
# Verified writes, or other I/O, from each CPU while queues go and come. fio must go on,
# and end with the given status (a regular expression).
queues_come_and_go() { # QUEUES STATUS FIO-OPTION...
    local count all=$1 status=$2
    shift 2
    expect "queues" "$all" "$(queues)"
    slow_disk $disk
    start_fio rnvme0n1 --offset=16m --size=8m --offset_increment=8m --numjobs=2 --cpus_allowed=0,1 \
        --cpus_allowed_policy=split --rw=randwrite --verify=crc32c --verify_fatal=1 \
        --verify_backlog=64 "$@"
    for count in $((all - 1)) "$all" 1 "$all" 1 "$all"; do
        hostile "set queues=$count"
        reset
        wait_for 10 has_queues "$count"
        kill -0 "$fio_job" 2>/dev/null ||
            die "expected I/O to go on with $count queues, it failed: $(cat /tmp/background)"
        pause 0.3
    done
    # The controller loses commands at the same time.
    for count in 1 "$all"; do
        hostile "set queues=$count; arm never queue=io times=6"
        reset
        wait_for 20 has_queues "$count"
    done
    (($(hostile count never) > 0)) || die "expected lost commands, saw none"
    fast_disk $disk
    kill -INT "$fio_job"
    wait_gone 20 kill -0 "$fio_job"
    expect "jobs without an error: $(cat /tmp/background)" 2 \
        "$(grep -c -E "err= ?($status)[: ]" /tmp/background)"
}
queues_come_and_go 2 0 --fsync=4
for count in 1 2 1 2; do
    hostile "set queues=$count"
    reset
    wait_for 10 has_queues $count
    for cpu in 0 1; do
        read_on $cpu || die "expected CPU $cpu to read with $count queues"
    done
    fio_may_fail 20 rnvme0n1
    expect "fio with $count queues" 0 "$fio_status"
done
# The controller refuses queue 2, late, so that queue 1 is created again. I/O that begins
# meanwhile must not go to queue 1, which the controller forgets.
mark
hostile "arm late queue=admin op=1 after=1 ms=1500; arm status queue=admin op=1 after=1 value=0x4102"
reset &
resetting=$!
hostile "await late 1 20"
dd if=/tmp/noise of=/dev/rnvme0n1 bs=4k seek=4096 count=64 oflag=direct conv=notrunc status=none &
writing=$!
read_on 0 || die "expected a read in the reset to succeed"
wait $resetting || die "expected the reset to succeed"
wait $writing || die "expected a write in the reset to succeed"
wait_for 10 has_queues 1
for cpu in 0 1; do
    read_on $cpu || die "expected CPU $cpu to read after queue 1 was created again"
done
cmp -n 262144 /tmp/noise <(dd if=/dev/rnvme0n1 bs=4k skip=4096 count=64 iflag=direct status=none) ||
    die "expected the data written in the reset, saw other data"
expect "completions of no command" 0 "$(klog_count 'which is not in flight')"
reset
wait_for 10 has_queues 2
# A controller that keeps its queues over CC.EN = 0 refuses to create them again: they are deleted
# first or, where that does not help, go with a reset of the function.
can_be_read() { # WHAT
    wait_for 10 has_queues 2
    for cpu in 0 1; do
        read_on $cpu || die "$1: expected CPU $cpu to read"
    done
}
hostile "arm kept"
reset
can_be_read "kept queues"
refuse_until_flr="arm status queue=admin op=5 value=0x101 times=always until=flr"
resets=$(hostile count resets)
hostile "$refuse_until_flr"
reset
can_be_read "queues that a reset of the function ends"
expect "resets of the function" $((resets + 1)) "$(hostile count resets)"
# It refuses its first queue once: the second bring-up gets it, and no I/O fails.
start_oracle $disk
hostile "arm status queue=admin op=5 value=0x6"
reset
oracle_goes_on "the first queue refused once"
end_oracle
expect "resets of the function" $((resets + 2)) "$(hostile count resets)"
# No queue can be created: I/O fails, the admin queue works, and the driver tries again by itself,
# without a line.
mark
hostile "arm status queue=admin op=5 value=0x6 times=always"
reset
expect_klog "no I/O queue is left"
expect_failure read_on 0
expect "state" live "$(cat /sys/class/rnvme/rnvme0/state)"
mark
hostile calm
# shellcheck disable=SC2317,SC2329 # called by wait_for
reads_again() { sleep 0.5 && read_on 0 2>/dev/null; }
wait_for 45 reads_again
expect "lines of a try by itself: $(klog)" 0 "$(klog_count "rnvme $bdf: ")"
read_on 1 || die "expected CPU 1 to read"
expect_noise rnvme0n1 8
# Each user may read the files of a vector in /proc/irq, and may have a page for the answer that is in
# a file on this disk. That page waits for the end of a reset; the kernel waits for the reader as it
# frees the vectors of that reset.
state=/sys/class/rnvme/rnvme0/state
begins() { [[ $(<$state) == resetting ]]; }
ends() { ! begins; }
lives() { [[ $(<$state) == live ]]; }
irq=$(awk '/rnvme0q2$/ { print $1 + 0 }' /proc/interrupts)
[[ -r /proc/irq/$irq/spurious ]] || die "no file for the vector of queue 2"
echo 3 >/proc/sys/vm/drop_caches
mark
hostile "arm never queue=io op=2 times=always; set queues=1"
# shellcheck disable=SC2016 # perl's variables; 9 is mmap, 0 is read
perl -e 'open($disk, "+<", "/dev/rnvme0n1"); open($file, "<", "/proc/irq/$ARGV[0]/spurious");
    syscall(0, fileno($file) + 0, syscall(9, 0, 4096, 3, 1, fileno($disk) + 0, 48 << 20), 4096);' "$irq" &
reader=$!
wait_for 10 disk_busy rnvme0n1
timeout 60 bash -c 'echo 1 >/sys/class/rnvme/rnvme0/reset_controller' 2>/dev/null &
wait_for 20 begins
wait_for $dead_bound ends
expect_klog "the host does not end the bring-up"
hostile "new; set volatile=1"
wait_gone 20 kill -0 $reader
wait_for 30 lives
can_be_read "a reset that a reader of /proc/irq holds up"
expect_noise rnvme0n1 8
unload
# The poll queue goes and comes. (Without a poll queue the block layer refuses polled
# I/O: EOPNOTSUPP.)  At bind a controller that keeps its queues has its function reset, too.
hostile "new; $refuse_until_flr"
load_disk io_timeout=2 admin_timeout=2 io_queue_depth=64 poll_queues=1 irq_coalescing_time=1 \
    irq_coalescing_threshold=4
queues_come_and_go 3 '0|95' --hipri --rw=randread --verify=0 --ignore_error=95
expect_noise rnvme0n1 8
# The last command of a reset gets no answer, after the queues were opened: the function is reset.
start_oracle $disk
hostile "arm never queue=admin op=9 fid=8 times=always until=flr"
reset
oracle_goes_on "no answer to the last command of a reset"
end_oracle
unload
