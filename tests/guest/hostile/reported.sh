# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What people report of real drives, a line each: what comes of it with this driver, and, under
# scripts/compare-faults, with the kernel's own. The tests of each subject go into detail.
#@ machine: hostile
#@ kernels: stock
#@ timeout: 200
#@ waits: stock
. /tests/guest/lib/recovery.sh

# The disk of a controller that was bound with these faults or options; $begin is the time.
fresh() { # REQUEST
    [[ ! -e /sys/bus/pci/devices/$bdf/driver ]] || echo "$bdf" >/sys/bus/pci/drivers/$driver/unbind
    hostile "new; back"
    [[ -z $1 ]] || hostile "$1"
    begin=$EPOCHREALTIME
    timeout -k 1 $patience bash -c "echo $bdf >/sys/bus/pci/drivers/$driver/bind" || must die "$1: cannot be bound"
    (wait_for 20 test -b /dev/$disk) || must die "$1: expected a disk"
}

# One row; rnvme must do what is expected. Without SECONDS they are those since $begin.
saw() { # WHAT EXPECTED SAW [SECONDS]
    row "$1" "$3" "${4:-$(seconds_since "$begin")}" nothing
    must expect "$1" "$2" "$3"
}

# A reset and I/O after it; $outcome is that of both.
reset_and_use() {
    begin=$EPOCHREALTIME
    outcome="reset failed"
    ! reset_controller || fio_outcome --number_ios=100
}

# The text of an attribute of the disk or of the controller without blanks.
attribute() { # FILE
    local text=none
    { read -r text <"$1"; } 2>/dev/null
    echo "${text%% *}"
}

# Wait for a command to succeed, or until the time is over: the row shows what came of it.
wait_or_not() { # SECONDS COMMAND...
    (wait_for "$@") >/dev/null 2>&1 || true
}

start_driver

fresh ""
hostile "arm late queue=admin op=6 ms=3000"
reset_and_use
saw "one Identify of a reset takes 3 s" "no error" "$outcome"

fresh "set dbbuf=1"
hostile "arm status queue=admin op=0x7c value=0x4001 times=always"
reset_and_use
saw "shadow doorbells refused after a move to another host" "no error" "$outcome"

fresh ""
hostile "arm status queue=admin op=9 value=0x4002 times=always"
reset_and_use
saw "every feature refused in a reset" "no error" "$outcome"

fresh ""
hostile "arm identify cns=0 at=104:$(printf '00%.0s' {1..24}) times=always; arm identify cns=3 fill=0 times=always"
reset_and_use
saw "identifiers read as zero after a reset" "no error" "$outcome"

fresh ""
hostile "arm identify cns=1 at=64:322e302020202020 times=always"
reset_and_use
saw "firmware 2.0 after a reset: firmware_rev" 2.0 "$(attribute $ctrl/firmware_rev)"

fresh ""
hostile "arm identify cns=1 at=520:4000 times=always"
reset_and_use
no_discard() { [[ $(attribute /sys/block/$disk/queue/discard_max_bytes) == 0 ]]; }
wait_or_not 5 no_discard
saw "no Dataset Management after a reset: discard_max_bytes" 0 "$(attribute /sys/block/$disk/queue/discard_max_bytes)"

fresh ""
hostile "arm hide step=io ms=300 after=50"
begin=$EPOCHREALTIME
fio_outcome
saw "the link is down for 0.3 s under I/O" "no error" "$outcome"

fresh ""
hostile "set queues=1"
reset_and_use
echo 0 >/sys/devices/system/cpu/cpu1/online
begin=$EPOCHREALTIME
fio_outcome --iodepth=1 --number_ios=3
echo 1 >/sys/devices/system/cpu/cpu1/online
saw "one queue after a reset, then a CPU goes offline: three writes" "no error" "$outcome"

fresh leave
fio_outcome --number_ios=100
saw "left enabled by firmware" "no error" "$outcome"

# CSTS.CFS ends two bring-ups; after them the controller works.
fresh ""
hostile "arm fatal step=enable times=2"
reset_controller || true
begin=$EPOCHREALTIME
wait_or_not 30 is_state live
saw "a reset failed, the controller works later: state within 30 s" live "$(ctrl_state)"

fresh "arm status queue=admin op=0x0c value=0x4001 times=always"
pause 3
saw "event requests refused: commands in 3 s" 1 "$(hostile count admin 0x0c)" 0

fresh ""
mark
for _ in {1..20}; do
    # A driver that has not enabled the event is not told.
    host hostile "smart 2" >/dev/null || true
    host hostile "smart 0" >/dev/null || true
    pause 0.1
done
lines=$(klog_count "${driver}0: ")
must expect_klog "temperature"
saw "a temperature warning flaps 20 times: at most 5 lines" yes "$( ((lines <= 5)) && echo yes || echo "$lines")" 0

fresh "arm identify cns=0 at=99:01 times=always; arm identify cns=8 at=8:01 times=always"
saw "write-protected (NSATTR): ro" 1 "$(attribute /sys/block/$disk/ro)"

fresh "set vs=0x10200 ns=3; arm status queue=admin op=6 cns=2 value=0x4002 times=always"
wait_or_not 5 test -b /dev/${driver}0n3
saw "no list of namespaces: disks" 3 "$(find /sys/block -name "${driver}0n*" | wc -l)"

fresh ""
echo "start=2048, size=2048" | sfdisk -q /dev/$disk || die "sfdisk failed"
fresh "set to=40; arm status queue=io op=2 value=0x82 times=60"
wait_or_not 10 test -b /dev/${disk}p1
saw "Namespace Not Ready for the first 60 reads: partitions" yes "$(test -b /dev/${disk}p1 && echo yes || echo no)"

hostile "new; back"
stop_driver
