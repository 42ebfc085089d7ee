# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A controller that does not come up at probe stays bound and is dead; another one works. It is
# tried again by itself, with one reset of its function, and by a reset from user space, a reset
# of its function, a sleep. When it works its disk is there. It can be unbound, removed, and
# rmmod'ed, also during a try. What can never work fails the probe.
#@ machine: pair
#@ timeout: 240
#@ waits: stock debug
. /tests/guest/lib/recovery.sh
dies="arm fatal step=enable times=always"
start=(io_timeout=2 admin_timeout=2 io_queue_depth=64)
ours() {
    hostile "@h0 $1"
}
bind_dead() { # WHAT REQUEST
    try_unbind 10 "$1"
    ours "new; back; $2"
    mark
    try_bind 15 "$1" || die "$1: expected bind to succeed: $(klog)"
    expect "$1: state" dead "$(ctrl_state)"
    [[ ! -e $ctrl/$disk ]] || die "$1: expected no disk"
}
comes_back() { # WHAT SECONDS
    wait_for "$2" test -b /dev/$disk
    took=$SECONDS
    expect "$1: state" live "$(ctrl_state)"
    expect_noise $disk 8
}
# What the log says of the first controller.
says() {
    klog | grep -F -e "rnvme $bdf:" -e "rnvme rnvme0:" || true
}

load "${start[@]}"
wait_for 20 test -b /dev/$disk
bdf=$(pci_of rnvme0)
put_noise $disk 8
unload

# udev hears of a controller when it works, and its attributes are there.
listen_uevents
# shellcheck disable=SC2317,SC2329 # called by wait_for
connected() { (($(grep -c "NVME_EVENT=connected" /tmp/uevents) == $1)); }
# Wedged when the driver is loaded.
ours "new; $dies"
mark
SECONDS=0
load "${start[@]}"
((SECONDS <= 15)) || die "expected insmod within 15 s, it took $SECONDS s"
dd if=/dev/rnvme1n1 of=/dev/null bs=4k count=1 iflag=direct status=none || die "expected to read the other disk"
[[ -e /sys/bus/pci/drivers/rnvme/$bdf ]] || die "expected the device to stay bound: $(klog)"
expect "state" dead "$(ctrl_state)"
expect "model" "" "$(<$ctrl/model)"
expect "queue_count" "" "$(<$ctrl/queue_count)"
expect "address" "$bdf" "$(<$ctrl/address)"
[[ ! -e $ctrl/$disk ]] || die "expected no disk of a dead controller"
! (echo 1 >$ctrl/rescan_controller) 2>/dev/null || die "expected no rescan of a dead controller"
expect "resets of the function" 1 "$(ours "count resets")"
expect "lines of its death: $(says)" 1 "$(klog_count "controller is dead")"
wait_for 5 connected 1
# A try fails without a line, and without another reset of the function.
mark
ours "await enables 3 20"
wait_for 5 is_state dead
expect "resets of the function after a try" 1 "$(ours "count resets")"
expect "lines of a try: $(says)" 0 "$(says | wc -l)"
# A user's reset fails, too, and resets the function.
! reset_controller || die "expected the reset to fail"
expect "resets of the function after a user's" 2 "$(ours "count resets")"
expect "state" dead "$(ctrl_state)"
# Healthy: its disk appears by itself.
mark
ours new
comes_back "by itself" 20
wait_for 5 connected 2
kill $listener
expect "lines of its return: $(says)" 1 "$(klog_count "controller is back")"
expect_klog "rnvme0: $(<$ctrl/model), serial h0"
reset_controller || die "expected a reset to succeed"
expect_noise $disk 8

# What follows brings it back at once, long before a try is due.
for how in reset_controller "function reset" sleep removal; do
    bind_dead "$how" "$dies"
    ours new
    SECONDS=0
    case $how in
        reset_controller) reset_controller || die "expected the reset to succeed: $(klog)" ;;
        "function reset") echo 1 >"/sys/bus/pci/devices/$bdf/reset" ;;
        sleep)
            [[ -e /sys/power/pm_test ]] || continue
            echo 0 >/sys/module/suspend/parameters/pm_test_delay
            echo devices >/sys/power/pm_test
            echo freeze >/sys/power/state || die "expected the machine to sleep: $(klog)"
            ;;
        removal)
            echo 1 >"/sys/bus/pci/devices/$bdf/remove"
            echo 1 >/sys/bus/pci/rescan
            ;;
    esac
    comes_back "$how" 9
    ((took <= 9)) || die "$how: expected the disk at once, it took $took s"
done

# It vanishes in its first bring-up, and is there again.
bind_dead "gone" "arm gone step=ready"
ours "new; back"
reset_controller || die "expected a reset to succeed: $(klog)"
comes_back "gone" 9
# What can never work fails the probe, without a reset.
try_unbind 10 "never"
ours "new; arm identify cns=1 at=512:77"
mark
! try_bind 5 "never" || die "expected bind to fail: $(klog)"
expect_klog "do not allow queue entries of 64 and 16 bytes"
[[ ! -e $ctrl && ! -e /sys/bus/pci/drivers/rnvme/$bdf ]] || die "expected the device to stay unbound"
expect "resets of the function" 0 "$(ours "count resets")"

# Partition tables that cannot be read hold up neither probe nor unbind. Half a minute goes by.
if ! is_debug; then
    try_unbind 10 "scan"
    ours "new; arm never queue=io op=2 times=always"
    mark
    try_bind 33 "scan" || die "scan: expected bind to succeed: $(klog)"
    expect_klog "probe waits no longer for the scan"
    expect "scan: state" live "$(ctrl_state)"
    try_unbind 12 "scan"
    ours new
fi

# Tries that end when the queues are made take no more memory each time.
count_events dma/dma_alloc dma/dma_free
bind_dead "memory" "arm fatal step=admin op=5 times=always"
before=$(coherent)
reset_controller && die "memory: expected the reset to fail"
echo "coherent memory of a controller that never was up: $before bytes"
expect "coherent memory after two more tries" "$before" "$(coherent)"

# The module goes during a try that gets no answer.
bind_dead "rmmod" "$dies"
ours "new; arm never queue=admin op=6 times=always"
ours "await never 1 20"
expect "state during the try" dead "$(ctrl_state)"
SECONDS=0
unload
((SECONDS <= 6)) || die "expected rmmod during a try within 6 s, it took $SECONDS s"
expect "complaints" 0 "$(ours "count complaints")"
hostile "@h0 new"
