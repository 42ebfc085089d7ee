# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The hostile controller misbehaves as a seed says, under I/O, bind, unbind and reset.
# Each step ends in bounded time without wrong data, and the disk comes back after it.
# `scripts/fuzz` runs other seeds, and longer.
#@ machine: hostile
#@ timeout: 180
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
# Longer than any bind or unbind may take: timeouts, CAP.TO twice, a reset of the function and
# CAP.TO twice again, a shutdown.
bound=32
# Longer than any I/O may take: the controller may lose a command at each of its six tries,
# and each try takes 6 s: its timeout, a second one after an abort in vain, a reset. One of
# the resets may take two bring-ups.
io_bound=60

# Bring the disk back, with a bind if needed.
recover() { # STEP
    # Identify data must not change while the driver uses it.
    [[ $action != bind ]] || try_unbind $bound "$1"
    hostile calm
    if [[ ! -b /dev/rnvme0n1 ]] || ! may_read $io_bound; then
        try_unbind $bound "$1"
        hostile back
        try_bind $bound "$1" || die "$1: expected bind to succeed again"
        wait_for 10 test -b /dev/rnvme0n1
    fi
    expect_noise rnvme0n1 8
}

# Reads in the background, which may fail.
start_reads() {
    fio --name=reads --filename=/dev/rnvme0n1 --direct=1 --ioengine=io_uring --rw=randread \
        --bs=4k --iodepth=8 --size=1m --time_based --runtime=3 \
        --allow_file_create=0 >/tmp/reads 2>&1 &
    fio_job=$!
    reads_begin() { ! kill -0 "$fio_job" 2>/dev/null || disk_busy rnvme0n1; }
    wait_for 10 reads_begin
}

expect_reads_end() { # STEP
    wait_gone $io_bound kill -0 "$fio_job" || die "$1: expected the reads to end within $io_bound s: $(hostile state)"
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
