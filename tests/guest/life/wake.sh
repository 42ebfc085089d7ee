# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Two drives sleep. One wakes up as usual; the other is gone, does nothing, never becomes ready
# or reports a failure. The machine wakes up as fast as ever, the good drive works at once, and
# I/O of the other ends within the bound. A rebind brings the other one back.
#@ machine: sleep
#@ timeout: 150
#@ waits: stock
#@ allow-log: WARNING: .*rtc
. /tests/guest/lib/recovery.sh
[[ -e /sys/power/pm_test ]] || skip "this kernel cannot test sleep"
start_driver
good=$disk
wait_for 10 on_bus 1
wait_for 10 test -b "/dev/$disk"
bdf=$(readlink -f "$ctrl/device")
bdf=${bdf##*/}
must set_bounds
# CAP.TO is 6 s while the drive does what it should not, not the 2 s that the driver has read.
dead_bound=$((dead_bound + 8))
put_noise "$good" 100
put_noise "$disk" 8
echo 0 >/sys/module/suspend/parameters/pm_test_delay
# The wake alone: a controller may take its time to shut down.
woken_within=4

# Seconds from the end of the sleep to its exit, by the kernel's own log.
wake_seconds() {
    klog | awk -F'[][ ]+' '/suspend debug: Waiting/ { woke = $2 } /suspend exit/ { print $2 - woke }'
}

# "WHAT THE WRITER SEES|STATE AFTERWARDS|FAULT".
while IFS='|' read -r expected state fault; do
    row_wanted "$expected" || continue
    hostile "new; set to=12; arm $fault"
    # Until I/O fails, or for as long as it does not.
    fio --name=waking --filename=/dev/$disk --direct=1 --ioengine=io_uring --rw=randread --bs=4k \
        --iodepth=4 --size=4m --time_based --runtime=600 --allow_file_create=0 >/tmp/waking 2>&1 &
    job=$!
    wait_for 10 disk_busy $disk
    echo devices >/sys/power/pm_test
    mark
    outcome=error took=""
    if echo mem >/sys/power/state; then
        took=$(wake_seconds)
        must within "$took" $woken_within || die "$fault: expected to wake up within $woken_within s, it took $took s: $(klog)"
    else
        must die "$fault: expected the machine to sleep: $(klog)"
    fi
    # The good drive.
    start=$EPOCHREALTIME
    expect_noise "$good" 100
    must within "$(seconds_since "$start")" $woken_within || die "$fault: expected the good drive to work at once: $(klog)"
    # The other drive.
    limit=$((dead_bound + 1))
    [[ $driver == rnvme ]] || limit=$patience
    if [[ ${expected#stock } == error ]]; then
        wait_gone $limit kill -0 $job
        ! wait $job || outcome="no error"
    else
        must wait_for $((back_bound + 1)) is_state live
        kill -INT $job
        wait_gone $patience kill -0 $job
        ! grep -q 'err= 0' /tmp/waking || outcome="no error"
    fi
    must expect "$fault: $(</tmp/waking)" "${expected#stock }" "$outcome"
    must expect "$fault: state" "$state" "$(ctrl_state)"
    row "wakes: $fault" "${took:+woken after $took s, }$outcome" "$(hostile since "${fault%% *}")" nothing
    hostile "new; back"
    rebind || die "$fault: expected a disk after a rebind: $(klog)"
    expect_noise $disk 8
done <<'END'
error|dead|gone step=shutdown
error|dead|gone step=enable
error|dead|ready to=1 times=always
no error|live|stop step=shutdown until=reset
no error|live|ready to=1 ms=5500
stock error|dead|stop step=shutdown
stock error|dead|fatal step=enable times=always
stock error|dead|stop step=ready
END

[[ $driver == rnvme ]] || exit 0
# The drive goes while the machine falls asleep, so that PCI core reads ones from it, and is back
# after that: the driver makes it what it was.
hostile "new; arm gone step=shutdown"
echo platform >/sys/power/pm_test
echo mem >/sys/power/state || die "away in a sleep: expected the machine to sleep: $(klog)"
wait_for $((dead_bound + 1)) is_state dead
hostile back
wait_for 20 is_state live
expect_noise $disk 8
# An interrupt each, or the watchdog would need a second for each.
start=$EPOCHREALTIME
dd if=/dev/$disk of=/dev/null bs=64k count=20 iflag=direct status=none || die "away in a sleep: expected reads to succeed"
within "$(seconds_since "$start")" 8 || die "away in a sleep: expected interrupts, 20 reads took $(seconds_since "$start") s"
expect "away in a sleep: complaints" 0 "$(hostile count complaints)"
echo none >/sys/power/pm_test
stop_driver
