# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The hostile controller does what a seed says, under I/O, bind, unbind and
# reset: each step ends in bounded time without wrong data, and after it the
# disk can be had back.  `scripts/fuzz` gives other seeds, and more time.
#@ machine: hostile
#@ timeout: 150
#@ allow-hostile: blocks .* of .* of namespace
#@ allow-hostile: deallocates blocks
#@ allow-hostile: a transfer of .* more than MDTS
#@ allow-hostile: an SGL, which the controller does not take
#@ allow-hostile: I/O for namespace
. /tests/guest/lib.sh

# rnvme.fuzz=SEED,STEPS,SECONDS on the kernel's command line.
seed=1 steps=8 seconds=30
if [[ $(</proc/cmdline) =~ rnvme\.fuzz=([0-9]+),([0-9]+),([0-9]+) ]]; then
    seed=${BASH_REMATCH[1]} steps=${BASH_REMATCH[2]} seconds=${BASH_REMATCH[3]}
fi
# Longer than any bind or unbind may take: time-outs, CAP.TO twice, a shutdown.
bound=25
# Longer than any I/O may take: a command may be lost with each of its six tries, and each
# takes 6 s: late, late once more after an abort in vain, a reset.
io_bound=45

# The disk as it should be, after a bind if that is needed.
recover() { # STEP
    # What it said of itself must stay as long as it is believed.
    [[ $action != bind ]] || try_unbind $bound "$1"
    hostile calm
    if [[ ! -b /dev/rnvme0n1 ]] || ! may_read $io_bound; then
        try_unbind $bound "$1"
        hostile back
        try_bind $bound "$1" || die "$1: it cannot be bound any more"
        wait_for 10 test -b /dev/rnvme0n1
    fi
    expect_noise rnvme0n1 8
}

# Reads, in the background, whatever becomes of the disk.
start_reads() {
    fio --name=reads --filename=/dev/rnvme0n1 --direct=1 --ioengine=io_uring --rw=randread \
        --bs=4k --iodepth=8 --size=1m --time_based --runtime=3 \
        --allow_file_create=0 >/tmp/reads 2>&1 &
    fio_job=$!
    reads_begin() { ! kill -0 "$fio_job" 2>/dev/null || disk_busy rnvme0n1; }
    wait_for 10 reads_begin
}

expect_reads_end() { # STEP
    wait_gone $io_bound kill -0 "$fio_job" || die "$1: reads do not end: $(hostile state)"
}

one_step() { # STEP
    if [[ $action == bind ]]; then
        try_unbind $bound "$1"
        hostile "back; fuzz-go"
    else
        hostile fuzz-go
    fi
    case $action in
    io) fio_may_fail $io_bound rnvme0n1 ;;
    bind)
        if try_bind $bound "$1" && wait_disk; then
            may_read $io_bound
        fi
        ;;
    rebind)
        start_reads
        try_unbind $bound "$1"
        if try_bind $bound "$1" && wait_disk; then
            may_read $io_bound
        fi
        expect_reads_end "$1"
        ;;
    reset)
        start_reads
        echo 1 >"/sys/bus/pci/devices/$bdf/reset"
        expect_reads_end "$1"
        ;;
    esac
}

load_disk io_timeout=2 admin_timeout=2 io_queue_depth=64
bdf=$(pci_of rnvme0)
put_noise rnvme0n1 8
echo "fuzz: seed $seed"
hostile fuzz "$seed"
until=$((SECONDS + seconds))
for ((step = 0; step < steps && SECONDS < until; step++)); do
    what=$(hostile fuzz-step) || die "$what"
    action=${what%% *}
    echo "$SECONDS s: $what"
    one_step "seed $seed, $what"
    recover "seed $seed, $what"
done
echo "fuzz: seed $seed: $step steps"
unload
