# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A dead controller that is on the bus is tried again after 10 s. Until it works its state
# is dead and I/O fails at once, also while the try is under way. The log has a line when it
# dies and one when it is back. A controller that was away comes back by itself, too.
# Unbind and rmmod during a try are bounded; unbind of a controller that has not stopped is, too.
#@ machine: hostile
#@ timeout: 200
#@ waits: stock debug
. /tests/guest/lib/recovery.sh
start_driver
put_noise $disk 8

# A reset that fails leaves the controller dead.
kill_it() { # WHAT [REQUESTS]
    hostile "new; ${2:-}; arm fatal step=enable times=always"
    ! reset_controller || die "$1: expected the reset to fail"
    expect "$1: state" dead "$(ctrl_state)"
}

expect_dead() { # WHAT
    local start=$EPOCHREALTIME
    ! dd if=/dev/$disk of=/dev/null bs=4k count=1 iflag=direct status=none 2>/dev/null ||
        die "$1: expected a read to fail"
    within "$(seconds_since "$start")" 4 || die "$1: expected a read to fail at once"
    expect "$1: state" dead "$(ctrl_state)"
}

# What the log says of the controller after the mark, but for the reads that fail.
says() {
    klog | grep -F "rnvme $bdf:" | grep -v "I/O command" || true
}

mark
kill_it "a reset that fails"
(($(klog_count "controller is dead") == 1)) || die "expected a line about the death: $(says)"
expect_dead "after the death"
# The try takes a while, so that it can be seen.
mark
hostile "new; set to=20; arm ready to=1 ms=8000"
hostile "await enables 1 20"
expect_dead "during the try"
wait_for 20 is_state live
expect_noise $disk 8
expect "lines of a try that succeeds: $(says)" 1 "$(says | wc -l)"
expect_klog "controller is back after"

# Away, and back after power on.
mark
hostile "new; gone"
wait_for 10 is_state dead
expect_dead "away"
expect_klog "controller is down: CSTS 0xffffffff, PCI_STATUS 0xffff"
pause 4
hostile back
wait_for 20 is_state live
expect_noise $disk 8
expect "complaints" 0 "$(hostile count complaints)"

# A sleep does not wait for a try of a controller that states 15 s and is never ready, nor does its
# end. Once the controller is well it works.
if [[ -e /sys/power/pm_test ]] && ! is_debug; then
    unload
    hostile "new; set to=30"
    load io_timeout=$io_timeout admin_timeout=20
    wait_for 20 test -b /dev/$disk
    echo 0 >/sys/module/suspend/parameters/pm_test_delay
    echo devices >/sys/power/pm_test
    kill_it "before a sleep" "set to=30"
    hostile "new; set to=30; arm ready to=1 times=always"
    hostile "await enables 1 30"
    start=$EPOCHREALTIME
    echo freeze >/sys/power/state || die "expected the machine to sleep: $(klog)"
    within "$(seconds_since "$start")" 8 || die "a sleep during a try took $(seconds_since "$start") s"
    hostile new
    wait_for 60 is_state live
    expect_noise $disk 8
    # A drive that takes its time for its first commands after a sleep.
    mark
    hostile "arm late queue=admin op=6 ms=7000 times=2"
    echo freeze >/sys/power/state || die "expected the machine to sleep: $(klog)"
    expect_noise $disk 8
    expect "deaths of a slow drive after a sleep" 0 "$(klog_count "controller is dead")"
    echo none >/sys/power/pm_test
fi

# Unbind of a controller that states 5 s and did not stop, nor after a reset of its function: what was
# waited for before is not waited for again.
unload
hostile "new; set to=10"
load io_timeout=$io_timeout admin_timeout=$io_timeout
wait_for 20 test -b /dev/$disk
hostile "arm ready to=0 times=always; arm left times=always"
! reset_controller || die "expected the reset of a controller that does not stop to fail"
expect "a controller that does not stop: state" dead "$(ctrl_state)"
hostile "disarm left"
start=$EPOCHREALTIME
echo "$bdf" >/sys/bus/pci/drivers/rnvme/unbind
took=$(seconds_since "$start")
within "$took" 4 || die "unbind of a controller that had not stopped took $took s"
echo "unbind of a controller that had not stopped: $took s"
hostile new
rebind || die "expected a disk after a rebind: $(klog)"
expect_noise $disk 8

# Unbind during a try that gets no answer, after one that the controller fails.
kill_it "before unbind"
mark
hostile "new; arm never queue=admin op=6 times=always"
hostile "await never 1 20"
expect_dead "during the second try"
start=$EPOCHREALTIME
unload
within "$(seconds_since "$start")" 6 || die "rmmod during a try took $(seconds_since "$start") s"
hostile new
