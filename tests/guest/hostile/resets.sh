# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Resets of a controller that does what a seed says meanwhile: each ends within the
# bound, reads go on or fail, and the next reset of a controller that behaves brings
# the disk back, with its data.  `scripts/fuzz --resets` gives other seeds, and more.
#@ machine: hostile
#@ kernels: debug
#@ timeout: 120
#@ allow-hostile: blocks .* of .* of namespace
#@ allow-hostile: deallocates blocks
#@ allow-hostile: a transfer of .* more than MDTS
#@ allow-hostile: an SGL, which the controller does not take
#@ allow-hostile: I/O for namespace
. /tests/guest/lib/recovery.sh
# rnvme.fuzz=SEED,STEPS,SECONDS on the kernel's command line.
seed=1 steps=25 seconds=40
if [[ $(</proc/cmdline) =~ rnvme\.fuzz=([0-9]+),([0-9]+),([0-9]+) ]]; then
    seed=${BASH_REMATCH[1]} steps=${BASH_REMATCH[2]} seconds=${BASH_REMATCH[3]}
fi
# The sooner it is late, the more resets there are.  CAP.TO may be drawn: 127.5 s at most,
# which is for a controller that never gets ready; so it is not drawn that high here.
io_timeout=1
dead_bound=$((io_timeout + cap_to + 10))

# Reads without end, in the background; they go on after errors, for to start fio costs more than
# a reset, and begin again with a new disk.
keep_reading() {
    [[ -z $reader ]] || ! kill -0 "$reader" 2>/dev/null || return 0
    : >/tmp/reads
    exec {errors}</tmp/reads
    fio --name=reads --filename=/dev/$disk --direct=1 --ioengine=io_uring --rw=randread --bs=4k \
        --iodepth=4 --size=1m --time_based --runtime=3600 --rate_iops=100 --allow_file_create=0 \
        --continue_on_error=read \
        >>/tmp/reads 2>&1 &
    reader=$!
}
reader=

# A reset without another process, which would cost more than the reset: its tenths of a second
# are in $tenths.  Should rnvme hang, the runner sees it; of the kernel's driver it is expected.
reset_now() {
    local start=$EPOCHREALTIME status=0
    if [[ $driver == rnvme ]]; then
        { echo 1 >$ctrl/reset_controller; } 2>/dev/null || status=1
    else
        reset_controller || status=1
    fi
    tenths=$(((${EPOCHREALTIME/./} - ${start/./}) / 100000))
    return $status
}

# Whether the reads go on, without an error from here on: fio has a line for each.
reads_go_on() {
    local state sectors now
    while read -r -u "$errors" _; do :; done
    kill -0 "$reader" 2>/dev/null && read -r state <$ctrl/state && [[ $state == live ]] || return 1
    read -r _ _ sectors _ 2>/dev/null </sys/block/$disk/stat || return 1
    for _ in {1..20}; do
        pause 0.05
        read -r _ _ now _ 2>/dev/null </sys/block/$disk/stat || return 1
        if ((now >= sectors + 32)); then
            ! read -r -u "$errors" _
            return
        fi
    done
    return 1
}

# The kernel's driver keeps the number of a controller whose disk is open, and the next one
# would be nvme1.
mend() {
    if [[ $driver == nvme ]]; then
        kill -INT "$reader" 2>/dev/null
        wait_gone $patience kill -0 "$reader"
    fi
    repair
}

start_driver
put_noise $disk 8
hostile fuzz "$seed" resets
longest=0 died=0 failed=0 rebound=0
until=$((SECONDS + seconds))
for ((step = 0; step < steps && SECONDS < until; step++)); do
    keep_reading
    what=$(hostile "fuzz-step; fuzz-go") || die "$what"
    what="seed $seed, $what"
    # It ends, one way or the other.
    reset_now || failed=$((failed + 1))
    ((tenths <= dead_bound * 10)) || must die "$what: the reset took $tenths tenths of a second"
    ((tenths <= longest)) || { longest=$tenths && longest_what=$what; }
    hostile calm
    # What it said of itself may be believed still; a reset by a good one corrects it.
    reset_now || died=$((died + 1))
    ((tenths <= dead_bound * 10)) || must die "$what: the reset after it took $tenths tenths of a second"
    afterwards=nothing
    if ! reads_go_on && ! mend; then
        hostile back
        rebind || die "$what: the disk is lost, $(ctrl_state)"
    fi
    if [[ $afterwards == rebind ]]; then
        rebound=$((rebound + 1))
        echo "$what: needed a bind"
        # They have the disk that was.
        kill -INT "$reader" 2>/dev/null
    fi
    ((step % 8)) || expect_noise $disk 8
done
kill -INT "$reader" 2>/dev/null
wait_gone $patience kill -0 "$reader"
expect_noise $disk 8
echo "longest: $longest_what"
row "$step hostile resets, seed $seed" \
    "$failed failed, and $died of the good ones after them; $rebound needed a bind" \
    "$((longest / 10)).$((longest % 10))" nothing
stop_driver
