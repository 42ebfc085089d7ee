# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# For the guest tests of recovery: `. /tests/guest/lib/recovery.sh`.  These tests run
# rnvme, or the kernel's own driver with rnvme.driver=nvme on the kernel's command line.
# They expect nothing of the kernel's driver: scripts/compare-faults shows both.  Each
# fault prints a line "@row|FAULT|OUTCOME|SECONDS|AFTERWARDS".

. /tests/guest/lib.sh

driver=rnvme
[[ $(</proc/cmdline) != *rnvme.driver=nvme* ]] || driver=nvme
ctrl=/sys/class/$driver/${driver}0
disk=${driver}0n1
# Seconds, and commands, as the tests load the driver.
io_timeout=2 io_queue_depth=64
# The bounds in seconds: for a controller whose first bring-up succeeds within 5 s, and for
# one that never comes back. set_bounds reads the second from the driver; these are for the
# kernel's driver.
back_bound=12 dead_bound=24
# The longest wait in seconds. The kernel's driver needs minutes at times.
patience=40
[[ $driver == rnvme ]] || patience=150

# Load the driver under test and wait for the first disk.
# shellcheck disable=SC2120 # parameters are optional
start_driver() { # PARAMETER...
    if [[ $driver == rnvme ]]; then
        load io_timeout=$io_timeout admin_timeout=$io_timeout io_queue_depth=$io_queue_depth "$@"
    else
        modprobe nvme_core io_timeout=$io_timeout admin_timeout=$io_timeout
        modprobe nvme io_queue_depth=$io_queue_depth "$@" || die "modprobe nvme failed"
        wait_for 20 on_bus 0
    fi
    wait_for 20 test -b /dev/$disk
    bdf=$(readlink -f $ctrl/device)
    bdf=${bdf##*/}
    must set_bounds
}

# Test the controller that is number N on the bus: the kernel's driver gives numbers as its
# controllers come, rnvme in this order.
on_bus() { # N
    local controllers=("/sys/bus/pci/drivers/$driver"/*:*/"$driver/$driver"*)
    [[ -e ${controllers[$1]-} ]] || return 1
    ctrl=/sys/class/$driver/${controllers[$1]##*/}
    disk=${ctrl##*/}n1
}

# The bounds of docs/BOUNDS.md; the second is stated by the driver, rounded up to seconds.
# CAP.TO is 7.5 s in QEMU, 2 s in the hostile controller.
set_bounds() {
    local stated cap_to=2000
    stated=$(<$ctrl/recovery_bound_ms) || die "the driver states no recovery_bound_ms"
    [[ $(<$ctrl/model) != QEMU* ]] || cap_to=7500
    # shellcheck disable=SC2034 # for the tests
    back_bound=$((io_timeout + 10)) dead_bound=$(((stated + 999) / 1000))
    # A driver that states a longer bound does not make its tests pass.
    # Each I/O queue beyond two adds its commands.
    set -- /sys/block/"$disk"/mq/*
    ((stated <= io_timeout * 1000 + 2 * cap_to + 18000 + 80 * ($# - 2))) || die "recovery_bound_ms is $stated"
}

stop_driver() {
    if [[ $driver == rnvme ]]; then
        unload
    else
        remove_module modprobe -r nvme || die "modprobe -r nvme failed"
    fi
}

# Run a check that applies to rnvme only.
must() { # COMMAND...
    [[ $driver == rnvme ]] || return 0
    "$@"
}

# What polls the state starts no program: on the debug kernel that takes 0.3 CPU seconds.
read_state() {
    { read -r state <$ctrl/state; } 2>/dev/null || state=none
}

ctrl_state() {
    local state
    read_state
    echo "$state"
}

is_state() { # STATE
    local state
    read_state
    [[ $state == "$1" ]]
}

# Seconds since a value of $EPOCHREALTIME, with one decimal.
seconds_since() { # EPOCHREALTIME
    local now=$EPOCHREALTIME
    local tenths=$(((${now/./} - ${1/./}) / 100000))
    echo "$((tenths / 10)).$((tenths % 10))"
}

# Whether a time is within so many seconds.
within() { # SECONDS LIMIT
    local hundredths
    printf -v hundredths '%.0f' "${1}e2"
    ((hundredths <= $2 * 100))
}

# Whether a row of a table is for this kernel: rows that begin with "stock" are for the
# stock kernel, the others for the debug kernel. A comparison of drivers runs all rows.
row_wanted() { # ROW
    [[ $(</proc/cmdline) != *rnvme.driver=* ]] || return 0
    if is_debug; then
        [[ $1 != "stock "* ]]
    else
        [[ $1 == "stock "* ]]
    fi
}

# One line for scripts/compare-faults.
row() { # FAULT OUTCOME SECONDS AFTERWARDS
    echo "@row|$1|$2|$3|$4"
}

# Reset the controller through sysfs, which waits for the end of the reset. $took is its
# seconds; returns whether it succeeded.
reset_controller() {
    local start=$EPOCHREALTIME status=0
    timeout -k 1 $patience bash -c "echo 1 >$ctrl/reset_controller" 2>/dev/null || status=1
    # shellcheck disable=SC2034 # for the caller
    took=$(seconds_since "$start")
    return $status
}

# Bring the disk back by the mildest means that works. $afterwards names it: nothing,
# reset_controller, rebind, or "not to be had" if none works.
repair() {
    local how
    for how in true reset_controller rebind; do
        afterwards=${how/true/nothing}
        ! { $how && repaired; } || return 0
    done
    afterwards="not to be had"
    return 1
}

# Whether the disk appears within 1.5 s and can be read within 5 s.
repaired() {
    # A scan may still be making the disk.
    for _ in 1 2 3 4 5; do
        [[ ! -b /dev/$disk ]] || break
        pause 0.3
    done
    # A read of a removed disk returns no bytes and no error.
    [[ -b /dev/$disk ]] && [[ $(timeout -k 1 5 dd if=/dev/$disk of=/dev/null bs=64k count=1 \
        iflag=direct status=noxfer 2>&1) == "1+0 records in"* ]]
}

rebind() {
    [[ ! -e /sys/bus/pci/devices/$bdf/driver ]] ||
        timeout -k 1 $patience bash -c "echo $bdf >/sys/bus/pci/drivers/$driver/unbind" || return 1
    timeout -k 1 $patience bash -c "echo $bdf >/sys/bus/pci/drivers/$driver/bind" 2>/dev/null || return 1
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        [[ ! -b /dev/$disk ]] || return 0
        pause 0.3
    done
    return 1
}

# Run fio, which verifies all that it writes. $outcome is "no error", "error",
# "wrong data" or "hangs".
fio_outcome() { # FIO-OPTION...
    local status=0 said
    timeout -k 1 $patience fio --name=fault --filename=/dev/$disk --direct=1 --ioengine=io_uring \
        --rw=randwrite --bs=4k --iodepth=16 --size=256k --verify=crc32c --verify_fatal=1 \
        --allow_file_create=0 --randseed=$RANDOM "$@" >/tmp/fault.fio 2>&1 || status=$?
    outcome="no error"
    ((status == 0)) || outcome=error
    ((status != 124 && status != 137)) || outcome=hangs
    said=$(</tmp/fault.fio)
    if [[ $said =~ verify:\ bad|verify\ failed|multibyte ]]; then
        outcome="wrong data"
    fi
}

# $outcome must be the expected one, within its bound.
judge() { # WHAT EXPECTED-OUTCOME SECONDS [LIMIT]
    local limit=${4:-$back_bound}
    [[ $2 != error && $2 != any ]] || limit=$dead_bound
    [[ $2 == any || $2 == "$outcome" ]] ||
        die "$1: expected $2, saw $outcome, $(ctrl_state): $(cat /tmp/fault.fio)"
    [[ $outcome != "wrong data" && $outcome != hangs ]] || die "$1: expected an end with or without an error, saw: $outcome"
    within "$3" "$limit" || die "$1: expected an end within $limit s, saw $outcome after $3 s"
}

# Run fio on the hostile controller for each line of a table
# "OUTCOME|REQUEST; REQUEST ...". The requests arm faults; the time counts from the
# moment at which the first of them was taken.
# shellcheck disable=SC2120 # options are optional
fault_table() { # FIO-OPTION...
    local expected left limit requests seconds first state
    while IFS='|' read -r expected requests; do
        row_wanted "$expected" || continue
        expected=${expected#stock }
        # "error, live": I/O fails, but the admin queue still works. "no error, second": the
        # second bring-up succeeds.
        left=dead limit=$back_bound
        [[ $expected != *", "* ]] || left=${expected#*, }
        [[ $left != second ]] || limit=$dead_bound
        expected=${expected%, *}
        hostile "new; $requests"
        echo "$requests"
        first=${requests#*arm }
        fio_outcome "$@"
        # The server's clock: the time that a slow guest needs to start fio does not count.
        seconds=$(hostile since "${first%% *}") || die "$requests: the fault was never taken"
        must judge "$requests" "$expected" "$seconds" "$limit"
        state=$(ctrl_state)
        [[ $outcome != error ]] || must expect "$requests: state" "$left" "$state"
        hostile calm
        repair
        row "$requests" "$outcome" "$seconds" "$afterwards"
        [[ $afterwards != "not to be had" ]] || die "$requests: expected a disk after repair, saw none that can be read"
        must expect_noise $disk 8
    done
    hostile new
}

# The rounds that `make soak` asks for (rnvme.soak=NAME:N,NAME:N on the kernel's command
# line), else the default.
soak_rounds() { # NAME DEFAULT
    local line
    line=$(</proc/cmdline)
    [[ $line =~ rnvme\.soak=([^ ]*,)?$1:([0-9]+) ]] || { echo "$2"; return; }
    echo "${BASH_REMATCH[2]}"
}

# -- acknowledged writes must survive -----------------------------------------------

# The area of the oracle: 16 MiB from 16 MiB on.
oracle_area=(--offset=16m --size=16m --bs=4k --direct=1 --ioengine=io_uring --allow_file_create=0)

# Write, read back and verify until end_oracle; no I/O may fail.
start_oracle() { # DISK FIO-OPTION...
    oracle_disk=$1
    start_fio "$1" "${oracle_area[@]}" --rw=randwrite --iodepth=16 --verify=crc32c \
        --verify_fatal=1 --verify_backlog=256 --randseed=$RANDOM "${@:2}"
}

# The oracle must still run and make progress.
oracle_goes_on() { # WHAT
    local before
    before=$(awk '{ print $7 }' "/sys/class/block/$oracle_disk/stat")
    # shellcheck disable=SC2317,SC2329 # called by wait_for
    written() { (($(awk '{ print $7 }' "/sys/class/block/$oracle_disk/stat") > before)); }
    kill -0 "$fio_job" 2>/dev/null || die "$1: expected the I/O to go on, it ended: $(cat /tmp/background)"
    wait_for 10 written
}

end_oracle() {
    kill -INT "$fio_job"
    wait_gone $patience kill -0 "$fio_job"
    # fio's exit status says only that it was interrupted.
    grep -q 'err= 0' /tmp/background || die "expected no I/O error: $(cat /tmp/background)"
}

# Four writers that never stop by themselves: direct I/O to a file, most of which waits in a scheduler
# if the driver's queues are short, and polled I/O there; buffered I/O in /mnt, and fsync.
start_writers() { # FILE MEBIBYTE POLLED-WRITES-A-SECOND SECONDS
    local verified=(--verify=crc32c --verify_fatal=1 --verify_backlog=64 --time_based --runtime="$4")
    fio --filename="$1" --allow_file_create=0 "${verified[@]}" --direct=1 --ioengine=io_uring \
        --bs=4k --rw=randwrite --size=16m \
        --name=queued --offset="$2m" --iodepth=16 \
        --name=polled --offset=$(($2 + 40))m --iodepth=4 --hipri=1 --rate_iops="$3" >/tmp/direct 2>&1 &
    direct=$!
    fio "${verified[@]}" --directory=/mnt --bs=16k --rw=randwrite --size=4m --rate_iops=200 \
        --name=buffered --name=synced --fsync=8 >/tmp/buffered 2>&1 &
    buffered=$!
    wait_for 30 test -e /mnt/synced.0.0
    wait_for 30 disk_busy "$disk"
}

# All writers run, and write more.
writers_go_on() { # WHAT
    local job stat
    read -r -a stat <"/sys/class/block/$disk/stat"
    wait_for 10 has_written "$disk" $((stat[4] + 21))
    for job in "$direct" "$buffered"; do
        kill -0 "$job" 2>/dev/null || die "$1: expected all writers to go on: $(cat /tmp/direct /tmp/buffered)"
    done
}

end_writers() {
    kill -INT "$direct" "$buffered"
    wait_gone $patience kill -0 "$direct"
    wait_gone $patience kill -0 "$buffered"
    expect "fio's jobs without an error" 4 "$(cat /tmp/direct /tmp/buffered | grep -c 'err= 0')"
}

# Write until something ends fio.  Each block holds a number of this run and its own
# offset; fio's latency log says which writes were acknowledged.
# With --sync=dsync acknowledged writes must survive a loss of the cache, too.  Returns when twice as
# many writes have ended as end_noting expects.
start_noting() { # DISK FIO-OPTION...
    local disk=$1 stat
    shift
    rm -f /tmp/noted*
    read -r -a stat <"/sys/class/block/$disk/stat"
    noted_run=$(printf '0x%08x%%o' $((RANDOM << 16 | RANDOM)))
    fio --name=noted --filename="/dev/$disk" "${oracle_area[@]}" --rw=randwrite --iodepth=4 \
        --rate_iops=1000 --time_based --runtime=600 --do_verify=0 --verify=pattern \
        --verify_pattern="$noted_run" --randseed=$RANDOM --log_offset=1 \
        --write_lat_log=/tmp/noted "$@" >/tmp/noted.fio 2>&1 &
    fio_job=$!
    wait_for 30 has_written "$disk" $((stat[4] + 100))
}

# End these writes; /tmp/noted lists the offsets of the acknowledged ones.
end_noting() {
    kill -INT "$fio_job" 2>/dev/null
    wait_gone $patience kill -0 "$fio_job"
    wait "$fio_job"
    awk -F'[, ]+' '$3 == 1 { print $5 }' /tmp/noted_lat.1.log | sort -un >/tmp/noted
    (($(wc -l </tmp/noted) >= 50)) || die "expected at least 50 acknowledged writes: $(cat /tmp/noted.fio)"
}

# Each acknowledged write must be on the disk.
expect_noted() { # DISK WHAT
    awk -v disk="/dev/$1" 'BEGIN { print "fio version 2 iolog\n" disk " add\n" disk " open" }
        { print disk " read " $1 " 4096" }
        END { print disk " close" }' /tmp/noted >/tmp/noted.read
    fio --name=expect --bs=4k --direct=1 --ioengine=io_uring --iodepth=16 --rw=read \
        --read_iolog=/tmp/noted.read --replay_no_stall=1 --verify=pattern \
        --verify_pattern="$noted_run" --verify_fatal=1 >/tmp/noted.verify 2>&1 ||
        die "$2: expected all acknowledged writes on the disk: $(cat /tmp/noted.verify)"
    grep -q "issued rwts: total=$(wc -l </tmp/noted),0,0" /tmp/noted.verify ||
        die "$2: expected a read of each acknowledged write: $(cat /tmp/noted.verify)"
}

# Write the kernel's uevents to /tmp/uevents, until $listener is killed.
listen_uevents() {
    busybox uevent env >/tmp/uevents 2>/dev/null &
    listener=$!
    # Protocol 15 (NETLINK_KOBJECT_UEVENT), bound to the group of the kernel's events.
    wait_for 10 grep -q -E "^[^ ]+ +15 +$listener +0*1 " /proc/net/netlink
}

# -- leaks --------------------------------------------------------------------------

# Objects of each slab cache after its free slabs were given back: "NAME OBJECTS".
slabs() {
    local one
    for one in /sys/kernel/slab/*/shrink; do
        # A merged cache has links as further names.
        [[ -L ${one%/shrink} ]] || echo 1 >"$one"
    done 2>/dev/null
    awk 'NR > 2 { print $1, $2 }' /proc/slabinfo | sort
}

# Free entries of the debug kernel's DMA debugging: each mapping takes one.
dma_books() {
    cat /sys/kernel/debug/dma-api/num_free_entries 2>/dev/null || echo 0
}

count_begin() {
    sync
    must purge_mappings
    slabs >/tmp/slabs.before
    books_before=$(dma_books)
}

# The kernel frees unmapped vmalloc areas by the thousand. Changing memory permissions,
# as loading a module does, frees them at once (vm_unmap_aliases).
purge_mappings() {
    modprobe nvme_core && modprobe -r nvme_core
}

# Nothing may have grown with the rounds: no DMA mapping is left over, no slab cache has
# grown by more than half an object a round (at least 200 objects).
count_end() { # ROUNDS
    local grown mapped limit=$(($1 / 2))
    ((limit > 200)) || limit=200
    # Some objects are freed only after an RCU grace period.
    for _ in 1 2 3; do
        pause 1
        must purge_mappings
        slabs >/tmp/slabs.after
        grown=$(awk -v limit=$limit 'NR == FNR { before[$1] = $2; next }
            $2 - before[$1] > limit { print $1 ": " before[$1] " -> " $2 }' \
            /tmp/slabs.before /tmp/slabs.after)
        # Negative if another device had a mapping in count_begin.
        mapped=$((books_before - $(dma_books)))
        ((mapped <= 0)) || grown+="${grown:+, }mappings: $mapped more"
        [[ -n $grown ]] || break
    done
    [[ -z $grown ]] || must die "expected no more objects after $1 rounds, saw: $grown"
    row "objects after $1 rounds" "${grown:-none more}" 0 nothing
}
