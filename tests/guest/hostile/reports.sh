# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What the controller repeats, the log does not: warnings that flap, events of every type,
# event requests and optional commands that are refused, what a scan finds of many namespaces. A
# request without a timeout never is late: on the debug kernel its deadline passes every 3 s.
#@ machine: hostile
#@ timeout: 200
#@ waits: stock debug
. /tests/guest/lib/recovery.sh

# The controller was told WHAT so often.
asked() { # NUMBER WHAT
    local count
    count=$(hostile count status)
    expect "$2" "$1" "$((count - before))"
}

start_driver
resets=$(<$ctrl/reset_count)

# A warning that flaps for some 10 s has one line. Another warning comes meanwhile, long
# enough to be read.
mark
# (Once a minute the driver looks at the SMART log, after which a warning is new.)
rounds=30
! is_debug || rounds=15
for ((round = 1; round <= rounds; round++)); do
    hostile "smart 2"
    pause 0.15
    ((round != 10)) || { hostile "smart 6"; pause 2; }
    hostile "smart 0"
    pause 0.15
done
lines=$(klog_count "rnvme0: ")
((lines <= 4)) || die "a warning that flaps: expected 4 lines at most, saw $lines: $(klog | tail -n 5)"
expect "lines about the temperature" 1 "$(klog_count "critical warning: temperature")"
expect "lines about the reliability" 1 "$(klog_count "critical warning: reliab")"

# Events of each other type, 30 of each.
mark
for _ in {1..30}; do
    hostile "event 0x010000; event 0x00ff02; event 0x800006; event 0xc00107; event 0x000003"
done
pause 3
lines=$(klog_count "rnvme0: ")
((lines <= 30)) || die "events of five types: expected 30 lines at most, saw $lines: $(klog | tail -n 5)"

# A log page that is refused for good is read once, until a reset or other firmware.
hostile new
before=$(hostile count status)
reset_controller || die "the reset failed"
# Not the SMART log, at which the driver looks once a minute.
hostile "arm status queue=admin op=2 lid=1 value=0x4109 times=always"
for _ in 1 2 3 4; do
    hostile "event 0x010000"
done
# At most ten events are handled in 5 s.
pause 8
asked 1 "reads of a log page that there is not"
echo 1 >$ctrl/rescan_controller
hostile "event 0x010000"
pause 3
asked 1 "the same after a rescan"
hostile "disarm status"

# Features that are refused are asked for in each reset, and said once.
mark
hostile "arm status queue=admin op=9 value=0x4002 times=always"
reset_controller || die "the reset failed"
reset_controller || die "the reset failed"
expect "lines about the timestamp" 1 "$(klog_count "Timestamp")"
expect "lines about the events" 1 "$(klog_count "Asynchronous Event Configuration")"
hostile "disarm status"

# A controller without Asynchronous Event Configuration reports a warning for as long as it is there:
# it is told to keep quiet until the next look.
hostile "new; set aec=0"
reset_controller || die "the reset failed"
before=$(hostile count admin 2)
hostile "smart 4"
pause 8
reads=$(($(hostile count admin 2) - before))
((reads >= 1 && reads <= 3)) || die "a warning that stays: expected 1 to 3 reads of a log page, saw $reads"
hostile new

# The event request is refused for good: sent once a reset.
mark
hostile "arm status queue=admin op=0x0c value=0x4001 times=always"
before=$(hostile count status)
reset_controller || die "the reset failed"
pause 6
asked 1 "event requests after a refusal"
reset_controller || die "the reset failed"
# shellcheck disable=SC2317,SC2329 # called by wait_for
asked_again() { (($(hostile count status) >= before + 2)); }
wait_for 10 asked_again
pause 1
asked 2 "event requests after a reset"
expect "lines about event requests" 2 "$(klog_count "no events until the next reset")"

# It fails: sent again after 1 s, 2 s, 4 s.
hostile "disarm status; arm status queue=admin op=0x0c value=0x105 times=always"
before=$(hostile count status)
reset_controller || die "the reset failed"
pause 8
count=$(($(hostile count status) - before))
((count >= 2 && count <= 4)) || die "expected 2 to 4 event requests in 8 s, saw $count"
expect "lines about event requests that fail" 1 "$(klog_count "with growing pauses")"

# The controller takes it again: events are handled again. An idle controller is not reset.
hostile "disarm status"
reset_controller || die "the reset failed"
count=$(<$ctrl/reset_count)
hostile "ns attach 2"
wait_for 15 test -b /dev/rnvme0n2
pause 8
expect "resets of an idle controller" "$count" "$(<$ctrl/reset_count)"
expect "resets by the user" 8 "$((count - resets))"
expect "aborts" 0 "$(<$ctrl/abort_count)"
expect "state" live "$(ctrl_state)"

# The look at the SMART log, once a minute, has found that the warnings are gone; the next
# warning is reported.
# shellcheck disable=SC2317,SC2329 # called by wait_for
cleared() {
    pause 2
    whole_log | awk '/rnvme-test: begin/ { found = 0 } /critical warning cleared: temperature/ { found = 1 }
        END { exit !found }'
}
wait_for 90 cleared
mark
hostile "smart 2"
# shellcheck disable=SC2317,SC2329
warned() { klog | grep -q "critical warning: temperature"; }
wait_for 10 warned
stop_driver

# Many namespaces without identification descriptors: a few are asked for them, and one line says
# so, however many scans there are.
many=40
! is_debug || many=10
hostile "new; set ns=$many; arm status queue=admin op=6 cns=3 value=2 times=always"
mark
start_driver
wait_for 60 test -b /dev/rnvme0n$many
before=$(hostile count status)
rescan() { echo 1 >$ctrl/rescan_controller || true; }
rescan
rescan
asked 0 "namespaces asked for descriptors in two scans"
expect "lines about descriptors" 1 "$(klog_count "admin command Identify (0x3)")"
# The list of namespaces fails: its lines come once, not for each scan.
mark
hostile "disarm status; arm status queue=admin op=6 cns=2 value=6 times=always"
for _ in 1 2 3 4; do rescan; done
expect "lines about the list" 1 "$(klog_count "list of active namespaces cannot be read")"
expect "lines about the scan" 1 "$(klog_count "namespace scan failed")"
# Identify fails with another status in each scan: 64 lines in a minute at most, and their number.
mark
for status in 4 5 6 7 8 4 5 6; do
    hostile "disarm status; arm status queue=admin op=6 cns=0 value=$status times=always"
    rescan
done
lines=$(klog_count "rnvme0: ")
((lines <= 66)) || die "Identify that fails: expected 66 lines at most, saw $lines"
((lines >= 20)) || die "Identify that fails: expected a line for each of some namespaces, saw $lines"
expect_klog "lines about namespaces were left out of the log"
hostile new
stop_driver
