# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Statuses that name a delay before the next try (CRD, CRDT): it is kept; but nobody
# waits for it when the controller has died or the disk goes.
#@ machine: hostile
#@ timeout: 60
. /tests/guest/lib/recovery.sh
load_unbound io_timeout=$io_timeout admin_timeout=$io_timeout
# CRDT1 is 2 s, CRDT2 50 s.
crdts="arm identify cns=1 at=128:1400f401 times=always"
hostile "$crdts"
try_bind 10 "$crdts" || die "it cannot be bound"
wait_disk || die "there is no disk"
put_noise $disk 8

# A read that is to be tried again after CRDT1 or CRDT2, in the background.
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

# It ends in so many seconds, with this status.
expect_end() { # WHAT FROM TO STATUS
    local status=0 seconds
    wait $reader || status=$?
    seconds=$(seconds_since "$start")
    echo "$1: $seconds s"
    expect "$1: the status of the read" "$4" $status
    within "$seconds" "$3" || die "$1: the read took $seconds s"
    ! within "$seconds" "$2" || die "$1: the read took $seconds s only"
}

begin_read 1
expect_end "a delay" 1 6 0

begin_read 2
hostile "arm fatal step=enable times=always"
! reset_controller || die "the reset worked"
expect "state" dead "$(ctrl_state)"
expect_end "a dead controller" 0 12 1
hostile "calm; $crdts"
reset_controller || die "it does not come back"
expect_noise $disk 8

begin_read 2
try_unbind 5 "unbind"
# The controller still answers: only the waiting is over.
expect_end "unbind" 0 12 0
hostile new
unload
