# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# For the guest tests of recovery: `. /tests/guest/lib/recovery.sh`.  They test
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

# Seconds since $EPOCHREALTIME was so, with one decimal.
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

# Whether a row of a table is for this kernel: those that begin with "stock" are for
# that one, the others for the debug kernel, all of them where drivers are compared.
row_wanted() { # ROW
    [[ $(</proc/cmdline) != *rnvme.driver=* ]] || return 0
    if [[ -e /sys/kernel/debug/kmemleak ]]; then
        [[ $1 != "stock "* ]]
    else
        [[ $1 == "stock "* ]]
    fi
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
    # shellcheck disable=SC2034 # for the caller
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
    [[ -b /dev/$disk ]] && [[ $(timeout -k 1 5 dd if=/dev/$disk of=/dev/null bs=64k count=1 \
        iflag=direct status=noxfer 2>&1) == "1+0 records in"* ]]
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
# shellcheck disable=SC2120 # options are optional
fault_table() { # FIO-OPTION...
    local expected left requests seconds first state
    while IFS='|' read -r expected requests; do
        row_wanted "$expected" || continue
        expected=${expected#stock }
        # "error, live": I/O fails, but the controller can be asked for the reason.
        left=dead
        [[ $expected != *", "* ]] || left=${expected#*, }
        expected=${expected%, *}
        hostile "new; $requests"
        echo "$requests"
        first=${requests#*arm }
        fio_outcome "$@"
        # The server is asked, so that what a slow guest needs to begin does not count.
        seconds=$(hostile since "${first%% *}") || die "$requests: it was not met"
        must judge "$requests" "$expected" "$seconds"
        state=$(ctrl_state)
        [[ $outcome != error ]] || must expect "$requests: state" "$left" "$state"
        hostile calm
        repair
        row "$requests" "$outcome" "$seconds" "$afterwards"
        [[ $afterwards != "not to be had" ]] || die "$requests: the disk is lost"
        must expect_noise $disk 8
    done
    hostile new
}

# How often `make soak` wants something done (rnvme.soak=NAME:N,NAME:N on the
# kernel's command line), or how often it is done else.
soak_rounds() { # NAME DEFAULT
    local line
    line=$(</proc/cmdline)
    [[ $line =~ rnvme\.soak=([^ ]*,)?$1:([0-9]+) ]] || { echo "$2"; return; }
    echo "${BASH_REMATCH[2]}"
}

# -- what was acknowledged must be there --------------------------------------------

# The area of the oracle: 16 MiB from 16 MiB on.
oracle_area=(--offset=16m --size=16m --bs=4k --direct=1 --ioengine=io_uring --allow_file_create=0)

# Writes without end, each read back and verified, until end_oracle; none may fail.
start_oracle() { # DISK
    oracle_disk=$1
    start_fio "$1" "${oracle_area[@]}" --rw=randwrite --iodepth=16 --verify=crc32c \
        --verify_fatal=1 --verify_backlog=256 --randseed=$RANDOM
}

# It must still be at work, and come forward.
oracle_goes_on() { # WHAT
    local before
    before=$(awk '{ print $7 }' "/sys/block/$oracle_disk/stat")
    # shellcheck disable=SC2317,SC2329 # called by wait_for
    written() { (($(awk '{ print $7 }' "/sys/block/$oracle_disk/stat") > before)); }
    kill -0 "$fio_job" 2>/dev/null || die "$1: the I/O ended: $(cat /tmp/background)"
    wait_for 10 written
}

end_oracle() {
    kill -INT "$fio_job"
    wait_gone $patience kill -0 "$fio_job"
    # Its status says only that it was interrupted.
    grep -q 'err= 0' /tmp/background || die "the I/O failed: $(cat /tmp/background)"
}

# Writes until something ends them.  In each block is a number of this run and its
# own place; fio's log of latencies says which writes were acknowledged.
# With --sync=dsync each of these must survive the loss of the cache, too.
start_noting() { # DISK FIO-OPTION...
    local disk=$1
    shift
    rm -f /tmp/noted*
    noted_run=$(printf '0x%08x%%o' $((RANDOM << 16 | RANDOM)))
    fio --name=noted --filename="/dev/$disk" "${oracle_area[@]}" --rw=randwrite --iodepth=4 \
        --rate_iops=1000 --time_based --runtime=600 --do_verify=0 --verify=pattern \
        --verify_pattern="$noted_run" --randseed=$RANDOM --log_offset=1 \
        --write_lat_log=/tmp/noted "$@" >/tmp/noted.fio 2>&1 &
    fio_job=$!
    wait_for 30 disk_busy "$disk"
}

# They end; where those are that were acknowledged is in /tmp/noted.
end_noting() {
    kill -INT "$fio_job" 2>/dev/null
    wait_gone $patience kill -0 "$fio_job"
    wait "$fio_job"
    awk -F'[, ]+' '$3 == 1 { print $5 }' /tmp/noted_lat.1.log | sort -un >/tmp/noted
    (($(wc -l </tmp/noted) >= 50)) || die "too few writes: $(cat /tmp/noted.fio)"
}

# All of them are there.
expect_noted() { # DISK WHAT
    awk -v disk="/dev/$1" 'BEGIN { print "fio version 2 iolog\n" disk " add\n" disk " open" }
        { print disk " read " $1 " 4096" }
        END { print disk " close" }' /tmp/noted >/tmp/noted.read
    fio --name=expect --bs=4k --direct=1 --ioengine=io_uring --iodepth=16 --rw=read \
        --read_iolog=/tmp/noted.read --replay_no_stall=1 --verify=pattern \
        --verify_pattern="$noted_run" --verify_fatal=1 >/tmp/noted.verify 2>&1 ||
        die "$2: what was acknowledged is lost: $(cat /tmp/noted.verify)"
    grep -q "issued rwts: total=$(wc -l </tmp/noted),0,0" /tmp/noted.verify ||
        die "$2: not all was read: $(cat /tmp/noted.verify)"
}

# -- what is used up ----------------------------------------------------------------

# Objects of each slab cache, those that are free already given back: "NAME OBJECTS".
slabs() {
    local one
    for one in /sys/kernel/slab/*/shrink; do
        # Several names stand for one cache.
        [[ -L ${one%/shrink} ]] || echo 1 >"$one"
    done 2>/dev/null
    awk 'NR > 2 { print $1, $2 }' /proc/slabinfo | sort
}

# Entries that the debug kernel's books on DMA have left.
dma_books() {
    cat /sys/kernel/debug/dma-api/num_free_entries 2>/dev/null || echo 0
}

count_begin() {
    sync
    must purge_mappings
    slabs >/tmp/slabs.before
    books_before=$(dma_books)
}

# The kernel keeps areas that were unmapped until they are some thousands; changing the
# rights of memory, as for a module, ends that (vm_unmap_aliases).
purge_mappings() {
    modprobe nvme_core && modprobe -r nvme_core
}

# After so many rounds nothing may have grown with them: no mapping of the device is
# new, no cache has grown by half an object a round (or 200 objects).
count_end() { # ROUNDS
    local grown mapped limit=$(($1 / 2))
    ((limit > 200)) || limit=200
    # What is freed after a grace period is freed soon.
    for _ in 1 2 3; do
        sleep 1
        must purge_mappings
        slabs >/tmp/slabs.after
        grown=$(awk -v limit=$limit 'NR == FNR { before[$1] = $2; next }
            $2 - before[$1] > limit { print $1 ": " before[$1] " -> " $2 }' \
            /tmp/slabs.before /tmp/slabs.after)
        # One of another device may have been under way before.
        mapped=$((books_before - $(dma_books)))
        ((mapped <= 0)) || grown+="${grown:+, }mappings: $mapped more"
        [[ -n $grown ]] || break
    done
    [[ -z $grown ]] || must die "after $1 rounds there are more objects: $grown"
    row "objects after $1 rounds" "${grown:-none more}" 0 nothing
}
