# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# bench/device.sh, the part of `make bench DEVICE=` that touches the drive. It measures with
# both drivers, refuses a disk that is mounted or has contents, and always gives the
# controller back.  (The trace events come from nvme.)
#@ kernels: stock
#@ timeout: 180
#@ allow-trace: pci_nvme_err_req_status
. /tests/guest/lib.sh
modprobe nvme || die "modprobe nvme failed"
wait_for 20 test -b /dev/nvme0n1
path=$(readlink -f /sys/class/nvme/nvme0/device)
bdf=${path##*/}

expect_as_before() { # WHAT
    expect "$1: the driver" nvme "$(basename "$(readlink -f "/sys/bus/pci/devices/$bdf/driver")")"
    expect "$1: driver_override" "(null)" "$(cat "/sys/bus/pci/devices/$bdf/driver_override")"
    expect "$1: nvme's queues to poll" 0 "$(cat /sys/module/nvme/parameters/poll_queues)"
    [[ ! -e /sys/module/rnvme ]] || die "$1: expected rnvme unloaded"
    wait_for 20 test -b /dev/nvme0n1
}

bench() { # PLAN-LINE...
    printf '%s\n' "$@" >/tmp/plan
    bash /bench/device.sh "$bdf" /rnvme.ko /tmp/plan /tmp/told
}

expect_refused() { # WHY
    expect_failure bench "use $bdf rnvme"
    expect_like "the reason" "*$1*" "$failed_with"
    expect_as_before "$1"
    [[ ! -e /tmp/told ]] || die "$1: expected a refusal before the plan, but it was begun"
}

mkfs.ext4 -q -F /dev/nvme0n1 20M
mkdir -p /mnt/disk
mount -t ext4 /dev/nvme0n1 /mnt/disk || die "mount failed"
expect_refused "nvme0n1 is mounted"
umount /mnt/disk
expect_refused "nvme0n1 has contents (ext4 )"
wipefs -q -a /dev/nvme0n1

sample="--rw=randread --bs=4k --iodepth=1 --number_ios=50 --cpus_allowed=0"
bench "use $bdf rnvme" "timed a $sample" "timed polled $sample --hipri" \
    "use $bdf nvme" "timed a $sample" "timed polled $sample --hipri" || die "bench failed"
expect "probes and samples" "probe rnvme sample sample probe nvme sample sample" \
    "$(sed -n -E 's/^(probe \w+|sample) .*/\1/p' /tmp/told | xargs)"
expect_as_before "measured"

# An error, and a signal, in the middle of rnvme's turn.
expect_failure bench "use $bdf rnvme" "timed a --rw=nonsense"
expect_like "the reason" "*fio failed*" "$failed_with"
expect_as_before "an error"
echo "use $bdf rnvme; timed a ${sample/number_ios=50/time_based --runtime=600}" >/tmp/plan
for signal in INT TERM; do
    rm /tmp/told
    # What the shell starts in the background ignores SIGINT, and so does what that starts: in a job of
    # its own it does not.
    set -m
    bash /bench/device.sh "$bdf" /rnvme.ko /tmp/plan /tmp/told >/tmp/bench.log 2>&1 &
    set +m
    wait_for 60 grep -q "probe rnvme" /tmp/told
    # The sample.
    pause 1
    kill -$signal -- -$!
    ! wait $! || die "expected $signal to end the benchmark with an error"
    expect "rnvme's turn" "probe rnvme" "$(sed -n -E 's/^(probe \w+) .*/\1/p' /tmp/told)"
    ! grep -q sample /tmp/told || die "expected $signal to end the sample"
    expect_as_before "$signal"
done
remove_module modprobe -r nvme || die "modprobe -r nvme failed"
