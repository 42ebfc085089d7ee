# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Two controllers are probed side by side, and have their numbers in the order of the bus, also
# one that is known by its ids alone. A controller that was left wedged, or fails at a step of its
# bring-up, is reset and works. One that creates no I/O queue can be administered, and has its
# disk when a reset brings queues.
#@ machine: pair
#@ timeout: 120
#@ waits: stock debug
. /tests/guest/lib.sh

ctrl=/sys/class/rnvme/rnvme0
bind() { # WHAT
    try_bind 20 "$1" || die "$1: expected bind to succeed"
}

# The kernel finds both anew, in the order of the bus: another test may have changed that.
find_again() {
    local path
    for path in /sys/bus/pci/devices/*; do
        [[ $(<"$path/vendor") != 0x1234 && $(<"$path/vendor") != 0x106b ]] || echo 1 >"$path/remove"
    done
    echo 1 >/sys/bus/pci/rescan
}

# Both have this name of a subsystem (SUBNQN), and other serial numbers: they are no two paths.
say_same_name() { # HEX
    hostile "@h0 arm identify cns=1 at=768:$1 times=always"
    hostile "@h1 arm identify cns=1 at=768:$1 times=always"
}

find_again
mark
say_same_name 6e716e2e323031342d30382e6f72672e6578616d706c653a6878
# The first is ready only after 30 s. The second does not wait for it.
hostile "@h0 set to=120; arm ready to=1 ms=30000"
insmod /rnvme.ko io_queue_depth=64 admin_timeout=2 &
job=$!
wait_for 60 test -b /dev/rnvme1n1
expect "state of the first" new "$(<$ctrl/state)"
dd if=/dev/rnvme1n1 of=/dev/null bs=4k count=1 iflag=direct status=none || die "expected the second disk to be read"
expect "state of the first after a read of the second" new "$(<$ctrl/state)"
wait "$job" || die "insmod failed"
# insmod returns when all are up, and the order of the bus gives the numbers.
[[ -e $ctrl/rnvme0n1 ]] || die "expected both disks after insmod"
expect "serial numbers in the order of the controllers' numbers" "h0 h1" \
    "$(</sys/class/rnvme/rnvme0/serial) $(</sys/class/rnvme/rnvme1/serial)"
expect "SUBNQN of the first" nqn.2014-08.org.example:hx "$(<$ctrl/subsysnqn)"
expect "SUBNQN of the second" nqn.2014-08.org.example:hx "$(</sys/class/rnvme/rnvme1/subsysnqn)"
expect "paths to the same namespace" 0 "$(klog_count "has a disk of it")"

bdf=$(pci_of rnvme0)
reached() { # REQUESTS LINE
    try_unbind 20 "$1"
    hostile "@h0 new; $1"
    mark
    bind "$1"
    expect_klog "$2"
}
# Firmware left it so that it does not become ready, fails, or loses a command.
for fault in "set to=1; arm ready to=1" "arm fatal step=ready" "arm never queue=admin op=6" \
    "arm fatal step=admin op=5" "arm status queue=admin op=5 value=0x6"; do
    reached "$fault" "PCI function"
    expect "$fault: resets of the function" 1 "$(hostile "@h0 count resets")"
    wait_disk || die "$fault: expected a disk after a reset of the function"
    may_read 20 || die "$fault: expected to read the disk"
done

# It creates no queue: an administrative controller (CNTRLTYPE 3), of which none is expected.
reached "arm identify cns=1 at=111:03 times=always; arm status queue=admin op=5 value=0x4102 times=always" \
    "controller creates no I/O queue"
expect "resets of the function without queues" 0 "$(hostile "@h0 count resets")"
expect "state without queues" live "$(<$ctrl/state)"
echo 1 >$ctrl/rescan_controller || die "expected a rescan without queues to succeed"
[[ ! -e $ctrl/rnvme0n1 ]] || die "expected no disk without queues"
echo 1 >$ctrl/reset_controller || die "expected a reset without queues to succeed"
[[ ! -e $ctrl/rnvme0n1 ]] || die "expected no disk after a reset without queues"
hostile "@h0 new"
echo 1 >$ctrl/reset_controller || die "expected a reset to succeed"
wait_for 20 test -b /dev/rnvme0n1
may_read 20 || die "expected to read the disk that a reset brought"
# It does not say how many queues it grants.
try_unbind 20 "Number of Queues"
hostile "@h0 new; arm status queue=admin op=9 fid=7"
bind "Number of Queues"
wait_disk || die "expected a disk though Number of Queues is refused"
# Its registers read as all ones for a moment.
try_unbind 20 "all ones"
hostile "@h0 new; arm read reg=cap times=20"
bind "all ones"
wait_disk || die "expected a disk after CAP read as all ones"
unload
# Apple's controllers are known by their ids, not by their class.
hostile "@h0 new; set vendor=0x106b device=0x2001 class=0x018002"
find_again
# A name without an end is none.
say_same_name "$(printf '20%.0s' {1..256})"
load io_queue_depth=64
expect_like "SUBNQN without an end" "nqn.2014.08.org.nvmexpress:106b106bh0 *" "$(<$ctrl/subsysnqn)"
expect "serial numbers in the order of the bus" "h0 h1" \
    "$(</sys/class/rnvme/rnvme0/serial) $(</sys/class/rnvme/rnvme1/serial)"
unload
hostile "@h0 new"
hostile "@h1 new"
find_again
