# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Asynchronous events: namespaces that are attached, detached, resized, reformatted or
# replaced, while they are open and under I/O; critical warnings, internal errors,
# firmware activation, also with an unbind in its middle; and events that lie.
#@ machine: hostile
#@ timeout: 120
. /tests/guest/lib/recovery.sh
# The effect of an event must be visible within so many seconds.
soon=8

size_is() { # DISK SECTORS
    [[ $(<"/sys/block/$1/size") == "$2" ]]
}

blocks_are() { # DISK BYTES
    [[ $(<"/sys/block/$1/queue/logical_block_size") == "$2" ]]
}

# Send a request to the controller and wait until a command succeeds (or fails).
after() { # REQUEST wait_for|wait_gone COMMAND...
    local start=$EPOCHREALTIME request=$1 how=$2 verdict="follows"
    shift 2
    hostile "$request"
    if [[ $driver == rnvme ]]; then
        $how $soon "$@"
    else
        ($how $soon "$@") >/dev/null || verdict="does not follow"
    fi
    row "$request" "$verdict" "$(seconds_since "$start")" nothing
}

# Verified writes in the background.
start_writes() {
    slow_disk $disk
    start_fio $disk --size=4m --verify=crc32c --verify_fatal=1 --rw=randwrite --verify_backlog=64
}

# These writes must still run without an error, and the controller must be live.
steady() { # WHAT
    if ! kill -0 "$fio_job" 2>/dev/null; then
        must die "$1: expected the I/O to go on, it ended: $(cat /tmp/background)"
        row "I/O meanwhile: $1" "$(grep -o 'error=.*' /tmp/background | head -n 1)" 0 nothing
        repair || die "$1: expected a disk after repair, saw none that can be read"
        row "the disk after it" back 0 "$afterwards"
        start_writes
    fi
    must expect "$1: state" live "$(ctrl_state)"
}

start_driver
second=${disk%1}2
put_noise $disk 8
start_writes
enables=$(hostile count enables)

after "ns attach 2" wait_for test -b "/dev/$second"
after "ns detach 2" wait_gone test -b "/dev/$second"
after "ns attach 2" wait_for test -b "/dev/$second"
put_noise "$second" 8
steady "attach, detach, attach"
after "ns resize 1 65536" wait_for size_is $disk 65536
steady "shrunk"
after "ns resize 1 131072" wait_for size_is $disk 131072
steady "grown"

# Format to another block size, which zeroes the data, while the disk is open.
exec 5<"/dev/$second"
after "ns format 2 12" wait_for blocks_are "$second" 4096
must cmp -n 65536 /dev/zero <(dd if="/dev/$second" bs=64k skip=128 count=1 iflag=direct status=none) ||
    must die "expected zeroes after the format"
expect_noise $disk 8
after "ns format 2 9" wait_for blocks_are "$second" 512
exec 5<&-
steady "formatted"

# Another disk in its place: an open file of the old disk must not read the new one.
put_noise "$second" 8
exec 5<"/dev/$second"
hostile "ns identity 2 another"
old_ends() {
    (($(dd bs=64k count=1 iflag=direct status=none <&5 2>/dev/null | wc -c) == 0))
}
after "event 0x040002" wait_for old_ends
exec 5<&-
new_there() {
    local path
    for path in "$ctrl"/"$driver"*n*; do
        [[ ${path##*/} == "$disk" || ! -b /dev/${path##*/} ]] || return 0
    done
    return 1
}
must wait_for $soon new_there
steady "another identity"

# A rescan through sysfs finds changes without an event.
hostile "ns resize 1 65536 quiet"
echo 1 >$ctrl/rescan_controller || must die "writing to rescan_controller failed"
must wait_for $soon size_is $disk 65536
hostile "ns resize 1 131072 quiet"
echo 1 >$ctrl/rescan_controller
must wait_for $soon size_is $disk 131072
steady "rescan"

# A critical warning makes a line in the log and a uevent.
mark
listen_uevents
host hostile "smart 4" || must die "expected the driver to enable the event of critical warnings"
# shellcheck disable=SC2317,SC2329 # called by wait_for
warned() { klog | grep -q -i "reliab"; }
# shellcheck disable=SC2329
told() { grep -q "DEVPATH=.*/$driver/${driver}0\$" /tmp/uevents; }
must wait_for $soon warned
must wait_for $soon told
kill $listener
steady "a warning"
# The next warning is reported as well.
mark
host hostile "smart 1" || must die "expected the driver to enable the event of critical warnings"
# shellcheck disable=SC2317,SC2329
warned() { klog | grep -q -i "spare"; }
must wait_for $soon warned

# Firmware activation: commands wait, and the controller is not reset.
start=$EPOCHREALTIME
hostile "activate 1500"
pause 2.5
steady "firmware activation"
must expect "enables after the activation" "$enables" "$(hostile count enables)"
row "activate 1500" "$(ctrl_state)" "$(seconds_since "$start")" nothing

# A persistent internal error: a reset, and no I/O fails.
start=$EPOCHREALTIME
hostile persistent
another_enable() { (($(hostile count enables) > enables)); }
must wait_for $soon another_enable
must wait_for $soon is_state live
row persistent "$(ctrl_state)" "$(seconds_since "$start")" nothing
pause 0.5
steady "an internal error"
expect_noise $disk 8

# A reset finds another capacity, more queues, fewer queues.
hostile "ns resize 1 65536 quiet"
reset_controller || must die "the reset failed"
must wait_for $soon size_is $disk 65536
steady "a smaller disk after a reset"
enables=$(hostile count enables)
soon=60

# Events and log pages that lie.
for lie in "arm log lid=4 fill=0xff; event 0x040002" "arm log lid=4 fill=0; event 0x040002" \
    "arm log lid=4 at=0:fefefefe; event 0x040002" "arm status queue=admin op=2; event 0x040002" \
    "arm identify cns=2 list=unsorted; event 0x040002" "event 0xffffffff" "event 0x7" "event 0x00ff02" \
    "arm result queue=admin op=0x0c value=0xffffffff; event 0x040002" "arm twice queue=admin op=0x0c; event 0x040002"; do
    hostile "$lie"
done
for _ in {1..10}; do
    hostile "event 0x040002; event 0x040002; event 0x040002"
done
# The driver then sends its event request less often, but still sees a change, even if
# the controller fails the requests.
hostile "arm status queue=admin op=0x0c value=6 times=3; event 0x040002"
after "ns resize 1 131072" wait_for size_is $disk 131072
steady "lies"
must expect "enables so far" "$enables" "$(hostile count enables)"

fast_disk $disk
must end_oracle

# Unbind in the middle of a firmware activation, with dirty data: it waits, longer than io_timeout.
# The driver hears of the activation at once: it has received no other event since the rebind.
rebind || die "expected a disk after a rebind: $(klog)"
exec 5<>/dev/$disk
dd if=/tmp/noise of=/dev/$disk bs=64k seek=$((40 * 16)) conv=notrunc status=none || die "dd failed"
mark
# The controller states 5 s (MTFA).
hostile "activate 4500"
pause 0.5
echo "$bdf" >/sys/bus/pci/drivers/rnvme/unbind
exec 5>&-
expect "writes that were lost at unbind" 0 "$(klog_count "lost async page write")"
rebind || die "expected a disk after a rebind: $(klog)"
expect_noise $disk 40
stop_driver
