# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Statuses with a retry delay (CRD, CRDT): the driver keeps to the delay, but does not wait for
# it when the controller has died or is unbound.
#@ machine: hostile
#@ timeout: 60
. /tests/guest/lib/recovery.sh
load_unbound io_timeout=$io_timeout admin_timeout=$io_timeout
# CRDT1 is 2 s, CRDT2 50 s.
crdts="arm identify cns=1 at=128:1400f401 times=always"
hostile "$crdts"
try_bind 10 "$crdts" || die "expected bind to succeed"
wait_disk || die "expected a disk, saw none"
put_noise $disk 8

# Start a read in the background whose status asks for a retry after CRDT1 or CRDT2.
begin_read() { # NUMBER
    hostile "arm status queue=io op=2 value=$((0x21 | $1 << 11))"
    start=$EPOCHREALTIME
    dd if=/dev/$disk of=/dev/null bs=4k count=1 iflag=direct status=none 2>/tmp/read &
    reader=$!
    wait_for 5 was_refused
}

was_refused() {
    local before=$refused
    refused=$(hostile count status)
    [[ $refused != "$before" ]]
}
refused=$(hostile count status)

# The read must end after FROM seconds and within TO, with this exit status.
expect_end() { # WHAT FROM TO STATUS
    local status=0 seconds
    wait $reader || status=$?
    seconds=$(seconds_since "$start")
    echo "$1: $seconds s"
    expect "$1: the status of the read" "$4" $status
    within "$seconds" "$3" || die "$1: expected the read to end within $3 s, it took $seconds s"
    ! within "$seconds" "$2" || die "$1: expected the read to take longer than $2 s, it took $seconds s"
}

begin_read 1
expect_end "a delay" 1 6 0

begin_read 2
hostile "arm fatal step=enable times=always"
! reset_controller || die "expected the reset to fail"
expect "state" dead "$(ctrl_state)"
expect_end "a dead controller" 0 12 1
hostile "calm; $crdts"
reset_controller || die "expected the second reset to succeed"
expect_noise $disk 8

begin_read 2
try_unbind 5 "unbind"
# The controller still answers, so the read succeeds: unbind only ends the delay.
expect_end "unbind" 0 12 0
hostile new
unload
