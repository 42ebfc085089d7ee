# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# For the guest tests of recovery: `. /tests/guest/lib-recovery.sh`.  They test
# rnvme, or with rnvme.driver=nvme on the kernel's command line the kernel's own
# driver, of which nothing is expected: scripts/compare-faults shows both.  Each
# fault is a line "@row|FAULT|OUTCOME|SECONDS|AFTERWARDS" in the output.

. /tests/guest/lib.sh

driver=rnvme
[[ $(</proc/cmdline) != *rnvme.driver=nvme* ]] || driver=nvme
ctrl=/sys/class/$driver/${driver}0
disk=${driver}0n1
# Seconds, as the tests load the driver, and CAP.TO of the hostile controller.
io_timeout=2 cap_to=2
# The bounds: for a controller that comes back, and for one that never does.
back_bound=$((io_timeout + 10)) dead_bound=$((io_timeout + cap_to + 10))
# Nobody waits longer: the kernel's driver needs some minutes now and then.
patience=40
[[ $driver == rnvme ]] || patience=150

# Load the driver under test and wait for the first disk.
# shellcheck disable=SC2120 # parameters are optional
start_driver() { # PARAMETER-OF-RNVME...
    if [[ $driver == rnvme ]]; then
        load io_timeout=$io_timeout admin_timeout=$io_timeout io_queue_depth=64 "$@"
    else
        modprobe nvme_core io_timeout=$io_timeout admin_timeout=$io_timeout
        modprobe nvme io_queue_depth=64 || die "there is no nvme module"
    fi
    wait_for 20 test -b /dev/$disk
    bdf=$(readlink -f $ctrl/device)
    bdf=${bdf##*/}
}

stop_driver() {
    if [[ $driver == rnvme ]]; then
        unload
    else
        modprobe -r nvme || die "nvme cannot be unloaded"
    fi
}

# What only rnvme must do.
must() { # COMMAND...
    [[ $driver == rnvme ]] || return 0
    "$@"
}

ctrl_state() {
    cat $ctrl/state 2>/dev/null || echo none
}

is_state() { # STATE
    [[ $(ctrl_state) == "$1" ]]
}

# Seconds since $EPOCHREALTIME was so, with one decimal.
seconds_since() { # EPOCHREALTIME
    local now=$EPOCHREALTIME
    local tenths=$(((${now/./} - ${1/./}) / 100000))
    echo "$((tenths / 10)).$((tenths % 10))"
}

# Whether a time is within so many seconds.
within() { # SECONDS LIMIT
    (($(printf '%.0f' "${1}e2") <= $2 * 100))
}

# One line for scripts/compare-faults.
row() { # FAULT OUTCOME SECONDS AFTERWARDS
    echo "@row|$1|$2|$3|$4"
}

# A reset of the controller by its user, who waits for it; its seconds are in
# $took, whether it worked is the status.
reset_controller() {
    local start=$EPOCHREALTIME status=0
    timeout -k 1 $patience bash -c "echo 1 >$ctrl/reset_controller" 2>/dev/null || status=1
    took=$(seconds_since "$start")
    return $status
}

# The disk as it should be, by the mildest means that work; in $afterwards is
# which that was: nothing, a reset, a bind, or that none did.
repair() {
    local how
    for how in true reset_controller rebind; do
        afterwards=${how/true/nothing}
        ! { $how && repaired; } || return 0
    done
    afterwards="not to be had"
    return 1
}

# Whether the disk can be read (and soon).
repaired() {
    # A rescan, or a disk's return, may be on its way.
    for _ in 1 2 3 4 5; do
        [[ ! -b /dev/$disk ]] || break
        sleep 0.3
    done
    # A disk that is gone has no bytes, and no error.
    [[ -b /dev/$disk ]] && (($(timeout -k 1 5 dd if=/dev/$disk bs=64k count=1 iflag=direct \
        status=none 2>/dev/null | wc -c) == 65536))
}

rebind() {
    [[ ! -e /sys/bus/pci/devices/$bdf/driver ]] ||
        timeout -k 1 $patience bash -c "echo $bdf >/sys/bus/pci/drivers/$driver/unbind" || return 1
    timeout -k 1 $patience bash -c "echo $bdf >/sys/bus/pci/drivers/$driver/bind" 2>/dev/null || return 1
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        [[ ! -b /dev/$disk ]] || return 0
        sleep 0.3
    done
    return 1
}

# fio, verifying all that it writes, whatever becomes of the disk; in $outcome is
# what it saw: "no error", "error", "wrong data", or "hangs".
fio_outcome() { # FIO-OPTION...
    local status=0
    timeout -k 1 $patience fio --name=fault --filename=/dev/$disk --direct=1 --ioengine=io_uring \
        --rw=randwrite --bs=4k --iodepth=16 --size=256k --verify=crc32c --verify_fatal=1 \
        --allow_file_create=0 --randseed=$RANDOM "$@" >/tmp/fault.fio 2>&1 || status=$?
    outcome="no error"
    ((status == 0)) || outcome=error
    ((status != 124 && status != 137)) || outcome=hangs
    if grep -q -E 'verify: bad|verify failed|multibyte' /tmp/fault.fio; then
        outcome="wrong data"
    fi
}

# The outcome and its time must be what they should.
judge() { # WHAT EXPECTED-OUTCOME SECONDS
    local limit=$back_bound
    [[ $2 != error ]] || limit=$dead_bound
    [[ $2 == any || $2 == "$outcome" ]] ||
        die "$1: expected $2, saw $outcome, $(ctrl_state): $(cat /tmp/fault.fio)"
    [[ $outcome != "wrong data" && $outcome != hangs ]] || die "$1: $outcome"
    within "$3" "$limit" || die "$1: $outcome after $3 s, more than $limit s"
}

# Each line of a table "OUTCOME|REQUEST; REQUEST ..." under fio on the hostile
# controller: the requests arm faults; the time counts from when the first was met.
fault_table() { # FIO-OPTION...
    local expected requests seconds first
    while IFS='|' read -r expected requests; do
        if [[ $expected == "stock "* && -e /sys/kernel/debug/kmemleak ]]; then
            continue
        fi
        expected=${expected#stock }
        hostile "new; $requests"
        echo "$requests"
        first=${requests#*arm }
        fio_outcome "$@"
        # The server is asked, so that what a slow guest needs to begin does not count.
        seconds=$(hostile since "${first%% *}") || die "$requests: it was not met"
        must judge "$requests" "$expected" "$seconds"
        local state
        state=$(ctrl_state)
        [[ $outcome != error ]] || must expect "$requests: state" dead "$state"
        hostile calm
        repair
        row "$requests" "$outcome" "$seconds" "$afterwards"
        [[ $afterwards != "not to be had" ]] || die "$requests: the disk is lost"
        must expect_noise $disk 8
    done
    hostile new
}
