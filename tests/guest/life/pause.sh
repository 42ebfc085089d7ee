# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# No request that has begun reaches a sleep: with requests that wait in a scheduler for
# slow commands the processors still go offline, with polled I/O in flight the sleep begins
# at once.  I/O that does not end within 10 s keeps the system awake (EBUSY), and goes on.
# A reset of the function keeps such I/O.  Nothing fails.
#@ machine: hostile
#@ timeout: 120
. /tests/guest/lib/recovery.sh
[[ -e /sys/power/pm_test ]] || skip "this kernel cannot test sleep"
load io_queue_depth=4 poll_queues=1 io_timeout=60
wait_for 20 test -b /dev/rnvme0n1
bdf=$(pci_of rnvme0)

# Suspend as far as a level; $took is the seconds, without the 5 of pm_test.
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
[[ ! -e /sys/kernel/debug/kmemleak ]] || how=freeze
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

# Polled I/O in flight; its tasks do not poll while they are frozen.
start_reads --hipri=1 --bs=4k --iodepth=3
try_sleep devices freeze || die "expected the machine to suspend: $(klog)"
within "$took" 8 || die "expected a suspend with polled I/O within 8 s, it took $took s"
end_oracle
echo "polled I/O: $took s"

# A command that does not end.
hostile "new; arm late queue=io op=2 ms=14000"
start_reads --iodepth=2
hostile "await late 1 10"
try_sleep devices freeze && die "expected the kernel to refuse a sleep with I/O that does not end"
expect_klog "the system cannot sleep now"
within "$took" 14 || die "expected a refusal within 14 s, it took $took s"
echo "I/O that does not end: refused after $took s"
hostile calm
oracle_disk=rnvme0n1
reads_on() { (($(awk '{ print $1 }' /sys/block/rnvme0n1/stat) > before)); }
before=$(awk '{ print $1 }' /sys/block/rnvme0n1/stat)
wait_for 10 reads_on
# The same command, and a reset of the function, which keeps what does not end.
echo 1 >"/sys/bus/pci/devices/$bdf/reset" || die "expected a reset of the function"
before=$(awk '{ print $1 }' /sys/block/rnvme0n1/stat)
wait_for 10 reads_on
end_oracle
expect "state" live "$(ctrl_state)"
echo none >/sys/power/pm_test
unload
