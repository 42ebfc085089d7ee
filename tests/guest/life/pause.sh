# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# No request that has begun reaches a sleep: with requests that wait in a scheduler for
# slow commands the processors still go offline, with polled I/O in flight the sleep begins
# at once.  I/O that does not end within 10 s keeps the system awake (EBUSY), and goes on.
# A reset of the function keeps such I/O.  A sleep while the controller pauses its processing
# (CSTS.PP), one with a shutdown that never completes, or during which the device does not answer for
# a moment, and a reset in which the device goes end as
# well.  Nothing fails but I/O of a device that is gone.
#@ machine: hostile
#@ timeout: 180
#@ waits: stock
. /tests/guest/lib/recovery.sh
[[ -e /sys/power/pm_test ]] || skip "this kernel cannot test sleep"
load io_queue_depth=4 poll_queues=1 io_timeout=60
wait_for 20 test -b /dev/rnvme0n1
bdf=$(pci_of rnvme0)
put_noise rnvme0n1 8

# A busy host makes much more of the seconds that pm_test waits.
echo 0 >/sys/module/suspend/parameters/pm_test_delay

polled_tenths=5
! is_debug || polled_tenths=20

# Suspend as far as a level; $took is the seconds.
try_sleep() { # LEVEL STATE
    local start=$EPOCHREALTIME status=0
    echo "$1" >/sys/power/pm_test
    { echo "$2" >/sys/power/state; } 2>/dev/null || status=1
    took=$(seconds_since "$start")
    return $status
}

# Reads that never fail, 64 KiB each, more than the device takes.
start_reads() { # FIO-OPTION...
    start_fio rnvme0n1 --rw=randread --bs=64k --iodepth=6 "$@"
}

mark
deepest=devices
for level in processors core; do
    [[ $(</sys/power/pm_test) != *$level* ]] || deepest=$level
done
how=mem
# For mem ACPI keeps pages that kmemleak reports.
! is_debug || how=freeze
[[ $how == mem ]] || deepest=platform

# Requests in a scheduler, slow commands.
echo mq-deadline >/sys/block/rnvme0n1/queue/scheduler
hostile "arm late queue=io ms=1000 times=always"
start_reads
hostile "await late 8 20"
try_sleep $deepest $how || die "expected the machine to suspend: $(klog)"
within "$took" 14 || die "expected a suspend within 14 s, it took $took s"
hostile calm
end_oracle
echo "requests in a scheduler: $took s"
echo none >/sys/block/rnvme0n1/queue/scheduler

# Polled I/O in flight; its tasks do not poll while they are frozen. It adds half a second at most to
# a sleep; a busy host may add more to one of them, not to three.
longer=1000
for _ in 1 2 3; do
    try_sleep devices freeze || die "expected the machine to suspend: $(klog)"
    idle=$took
    start_reads --hipri=1 --bs=4k --iodepth=3
    try_sleep devices freeze || die "expected the machine to suspend with polled I/O: $(klog)"
    end_oracle
    echo "polled I/O: $took s, idle $idle s"
    # Tenths of a second.
    longer=$((10#${took/./} - 10#${idle/./}))
    ((longer > polled_tenths)) || break
done
((longer <= polled_tenths)) || die "expected polled I/O to add at most $polled_tenths tenths of a second, saw $longer"

# A command that does not end.
hostile "new; arm late queue=io op=2 ms=50000"
start_reads --iodepth=2
hostile "await late 1 10"
try_sleep devices freeze && die "expected the kernel to refuse a sleep with I/O that does not end"
expect_klog "the system cannot sleep now"
within "$took" 20 || die "expected a refusal within 20 s, it took $took s"
echo "I/O that does not end: refused after $took s"
hostile calm
reads_on() { (($(awk '{ print $1 }' /sys/block/rnvme0n1/stat) > before)); }
# fio itself may wait for its late read, at the end of a round.
expect_noise rnvme0n1 8
# The same for the image of a hibernation.
if [[ $(</sys/power/state) == *disk* ]] && ! is_debug; then
    mark
    try_sleep devices disk && die "expected the kernel to refuse a hibernation with I/O that does not end"
    expect_klog "the system cannot sleep now"
    echo "I/O that does not end: hibernation refused after $took s"
    expect_noise rnvme0n1 8
fi
# The same command, and a reset of the function, which keeps what does not end.
reset_function() {
    echo 1 >"/sys/bus/pci/devices/$bdf/reset"
}
reset_function || die "expected a reset of the function"
before=$(awk '{ print $1 }' /sys/block/rnvme0n1/stat)
wait_for 10 reads_on
end_oracle
expect "state" live "$(ctrl_state)"

# Processing is paused for 3 s, with I/O waiting.
start_reads --iodepth=4
hostile "new; activate 3000"
try_sleep devices freeze || die "expected a sleep in a pause of the processing: $(klog)"
before=$(awk '{ print $1 }' /sys/block/rnvme0n1/stat)
wait_for 10 reads_on
echo "processing paused: $took s"

# A shutdown that does not complete: the sleep goes on, and CC.EN = 0 comes on waking.
hostile "new; arm never queue=shutdown"
mark
try_sleep devices freeze || die "expected the machine to suspend: $(klog)"
expect_klog "shutdown incomplete"
before=$(awk '{ print $1 }' /sys/block/rnvme0n1/stat)
wait_for 10 reads_on
end_oracle
echo "incomplete shutdown: $took s"

# The device does not answer for a moment while it shuts down: it completes its shutdown.
start_reads --iodepth=2
hostile "new; arm hide step=shutdown ms=300"
mark
try_sleep devices freeze || die "expected the machine to suspend: $(klog)"
expect "shutdowns that the driver gave up" 0 "$(klog_count "shutdown incomplete")"
expect "complaints" 0 "$(hostile count complaints)"
before=$(awk '{ print $1 }' /sys/block/rnvme0n1/stat)
wait_for 10 reads_on
end_oracle
echo none >/sys/power/pm_test

# Begins a reset of the function that waits for a read that does not end.
reset_waits() {
    hostile "new; arm never queue=io op=2"
    start_reads --iodepth=2
    hostile "await never 1 10"
    reset_function &
    reset=$!
    pause 2
    kill -0 $reset || die "expected a reset that waits for I/O"
}

# A direct read with RWF_NOWAIT: the name of its error, or the number of bytes.
# shellcheck disable=SC2016 # perl's variables; 0x4000 is O_DIRECT, 327 is preadv2, 8 is RWF_NOWAIT
read_nowait() { # FILE
    perl -e '
        sysopen(my $file, $ARGV[0], 0x4000) or die "open: $!";
        my $room = "\0" x 8192;
        my $place = (unpack("J", pack("P", $room)) + 4095) & ~4095;
        my $done = syscall(327, fileno($file), pack("JJ", $place, 4096), 1, 0, 0, 8);
        print $done >= 0 ? $done : $! == 11 ? "EAGAIN" : "$!";' "$1"
}
expect "bytes of a read with RWF_NOWAIT" 4096 "$(read_nowait /dev/rnvme0n1)"

# The device is away meanwhile: the read does not wait for it. What must not wait (RWF_NOWAIT) is told
# so (EAGAIN) while the queue is frozen.
reset_waits
start=$EPOCHREALTIME
expect "a read with RWF_NOWAIT while the queue is frozen" EAGAIN "$(read_nowait /dev/rnvme0n1)"
within "$(seconds_since "$start")" 5 || die "expected a read with RWF_NOWAIT to return at once"
hostile gone
expect_fio_fails 8
hostile "new; back"
wait $reset
# A dead controller is tried again after 10 s.
wait_for 20 is_state live
expect_noise rnvme0n1 8

unload
