# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Statuses with a retry delay (CRD, CRDT): the driver keeps to the delay, whatever fails beside
# it, but does not wait for it when the controller has died or is unbound, or when all disks
# would wait. Unbind waits no longer for a scan that reads a partition table.
#@ machine: hostile
#@ timeout: 90
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
    refused=$(hostile count status)
    start=$EPOCHREALTIME
    (
        status=0
        dd if=/dev/$disk of=/dev/null bs=4k count=1 iflag=direct status=none 2>/tmp/read || status=$?
        seconds_since "$start" >/tmp/seconds
        exit $status
    ) &
    reader=$!
    wait_for 5 was_refused
}

was_refused() {
    local before=$refused
    refused=$(hostile count status)
    [[ $refused != "$before" ]]
}

# The read must end after FROM seconds (0: or at once) and within TO, with this exit status.
expect_end() { # WHAT FROM TO STATUS
    local status=0 seconds
    wait $reader || status=$?
    seconds=$(</tmp/seconds)
    echo "$1: $seconds s"
    expect "$1: the status of the read" "$4" $status
    within "$seconds" "$3" || die "$1: expected the read to end within $3 s, it took $seconds s"
    (($2 == 0)) || ! within "$seconds" "$2" || die "$1: expected the read to take longer than $2 s, it took $seconds s"
}

begin_read 1
expect_end "a delay" 1 6 0

# Writes that fail in the same way do not hold up the read, whose delay is over before theirs.
begin_read 1
hostile "arm status queue=io op=1 value=$((0x821)) times=always"
writers=()
for block in 1 2 3 4 5 6 7; do
    pause 0.7
    dd if=/dev/zero of=/dev/$disk bs=4k count=1 seek=$((4096 + block)) oflag=direct status=none &
    writers+=($!)
done
hostile "disarm status"
# Held up by each write it would take 7 s.
expect_end "a delay beside writes" 1 5 0
wait "${writers[@]}" || die "expected the writes to succeed"

# Writes that are tried again at once do not use up the retries of a read that has a delay.
hostile "arm status queue=io op=2 value=$((0x821)) times=always"
begin_read 1
for block in 1 2 3 4 5 6 7 8; do
    hostile "arm status queue=io op=1 value=4"
    dd if=/dev/zero of=/dev/$disk bs=4k count=1 seek=$((4096 + block)) oflag=direct status=none ||
        die "expected a write to succeed"
done
hostile "disarm status"
expect_end "a delay beside tries without one" 1 20 0

# With fewer queues the block layer waits for all I/O: a read that waits for a delay holds up no other.
hostile "arm status queue=io op=2 value=$((0x1021)) times=always"
begin_read 2
hostile "set queues=1"
reset_controller || die "expected the reset to succeed"
timeout 15 dd if=/dev/zero of=/dev/$disk bs=4k count=1 seek=4096 oflag=direct status=none ||
    die "fewer queues: expected a write within 15 s"
expect_end "a delay when queues are lost" 0 30 1
hostile "new; $crdts"
reset_controller || die "expected the reset to succeed"

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

# A scan is at the partition table of a new disk when the driver is unbound. Before, its reads do this.
unbind_in_scan() { # WHAT SECONDS REQUESTS
    hostile "new; back; set ns=2; $crdts"
    try_bind 30 "$1" || die "$1: expected bind to succeed"
    wait_for 20 test -b /dev/rnvme0n2
    hostile "ns detach 2"
    wait_for 10 is_absent /dev/rnvme0n2
    refused=$(hostile count status)
    hostile "$3; ns attach 2"
    wait_for 20 was_refused
    try_unbind "$2" "$1"
}
is_absent() { [[ ! -e $1 ]]; }
fails="arm status queue=io op=2 times=always"
unbind_in_scan "a scan that waits for a delay" 5 "$fails value=$((0x1021))"
# Each read takes nearly io_timeout, and fails: 10 s are granted.
unbind_in_scan "a slow scan" 15 "$fails value=4; arm late queue=io op=2 ms=1800 times=always"
hostile new
unload
