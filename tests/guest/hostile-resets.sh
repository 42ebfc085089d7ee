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
. /tests/guest/lib-recovery.sh
# rnvme.fuzz=SEED,STEPS,SECONDS on the kernel's command line.
seed=1 steps=25 seconds=40
if [[ $(</proc/cmdline) =~ rnvme\.fuzz=([0-9]+),([0-9]+),([0-9]+) ]]; then
    seed=${BASH_REMATCH[1]} steps=${BASH_REMATCH[2]} seconds=${BASH_REMATCH[3]}
fi
# The sooner it is late, the more resets there are.  CAP.TO may be drawn: 127.5 s at most,
# which is for a controller that never gets ready; so it is not drawn that high here.
io_timeout=1
dead_bound=$((io_timeout + cap_to + 10))

# Reads without end, in the background; they begin again when the disk is back.
keep_reading() {
    [[ -z $reader ]] || ! kill -0 "$reader" 2>/dev/null || return 0
    fio --name=reads --filename=/dev/$disk --direct=1 --ioengine=io_uring --rw=randread --bs=4k \
        --iodepth=4 --size=1m --time_based --runtime=600 --rate_iops=200 --allow_file_create=0 \
        >/tmp/reads 2>&1 &
    reader=$!
}
reader=

start_driver
put_noise $disk 8
hostile fuzz "$seed" resets
longest=0 died=0 rebound=0
until=$((SECONDS + seconds))
for ((step = 0; step < steps && SECONDS < until; step++)); do
    keep_reading
    what=$(hostile "fuzz-step; fuzz-go") || die "$what"
    what="seed $seed, $what"
    # It ends, one way or the other.
    reset_controller
    within "$took" $dead_bound || must die "$what: the reset took $took s"
    ((10#${took/./} <= longest)) || { longest=$((10#${took/./})) && longest_what=$what; }
    hostile calm
    # What it said of itself may be believed still; a reset by a good one corrects it.
    reset_controller || died=$((died + 1))
    within "$took" $dead_bound || must die "$what: the reset after it took $took s"
    if ! repair; then
        hostile back
        rebind || die "$what: the disk is lost, $(ctrl_state)"
    fi
    [[ $afterwards != rebind ]] || { rebound=$((rebound + 1)); echo "$what: needed a bind"; }
    ((step % 8)) || expect_noise $disk 8
done
kill -INT "$reader" 2>/dev/null
wait_gone $patience kill -0 "$reader"
expect_noise $disk 8
echo "longest: $longest_what"
row "$((step * 2)) resets, seed $seed" "$died failed, $rebound needed a bind" \
    "$((longest / 10)).$((longest % 10))" nothing
stop_driver
