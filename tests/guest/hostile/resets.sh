# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Resets of a controller that misbehaves as a seed says. Each ends within the bound, and
# reads go on or fail. The next reset, of a controller that behaves, brings the disk
# back with its data.  `scripts/fuzz --resets` runs other seeds, and more of them.
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
# The shorter the timeout, the more resets there are.
io_timeout=1

# Reads without end in the background. They go on after errors, because starting fio costs more
# than a reset, and are started again for a new disk.
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

# Reset without another process, which would cost more than the reset; $tenths is its tenths of
# a second.  The runner's limit catches a hang of rnvme. The kernel's driver may hang, so
# reset_controller, which has a limit of its own, resets that one.
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

# Whether the reads go on without a further error: fio prints a line for each error.
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

# The kernel's driver keeps the number of a controller whose disk is open: without the end of
# fio the next controller would be nvme1.
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
    # The reset must end, with or without an error.
    reset_now || failed=$((failed + 1))
    ((tenths <= dead_bound * 10)) || must die "$what: expected a reset within $dead_bound s, it took $tenths tenths of a second"
    ((tenths <= longest)) || { longest=$tenths && longest_what=$what; }
    hostile calm
    # The driver may still use wrong Identify data; a reset of a good controller corrects that.
    reset_now || died=$((died + 1))
    ((tenths <= dead_bound * 10)) || must die "$what: expected the next reset within $dead_bound s, it took $tenths tenths of a second"
    afterwards=nothing
    if ! reads_go_on && ! mend; then
        hostile back
        rebind || die "$what: expected a disk after a bind, saw none; state $(ctrl_state)"
    fi
    if [[ $afterwards == rebind ]]; then
        rebound=$((rebound + 1))
        echo "$what: needed a bind"
        # The reads have the old disk open.
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
