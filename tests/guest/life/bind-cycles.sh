# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Repeated bind and unbind (a thousand times in `make soak`), by turns idle and under I/O:
# nothing leaks.
#@ timeout: 60
. /tests/guest/lib/recovery.sh
rounds=10
! is_debug || rounds=6
rounds=$(soak_rounds binds $rounds)

cycle() { # ROUND
    if (($1 % 4 == 0)); then
        start_fio $disk --size=4m
        echo "$bdf" >/sys/bus/pci/drivers/$driver/unbind || die "round $1: expected unbind to succeed"
        expect_fio_fails 15
    else
        echo "$bdf" >/sys/bus/pci/drivers/$driver/unbind || die "round $1: expected unbind to succeed"
    fi
    echo "$bdf" >/sys/bus/pci/drivers/$driver/bind || die "round $1: expected bind to succeed"
    [[ -b /dev/$disk ]] || wait_for 20 test -b /dev/$disk
}

start_driver
put_noise $disk 100
# Objects that the kernel allocates only once exist after these.
for round in 1 2 3 4; do
    cycle "$round"
done
count_begin
for ((round = 1; round <= rounds; round++)); do
    cycle "$round"
done
count_end "$rounds"
expect_noise $disk 100
verify $disk --bs=4k --size=512k --iodepth=16 --offset=16m
stop_driver
