# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Acknowledged writes survive when the device goes under writes and comes back: removed
# by the kernel and found by a rescan, unbound and bound.
#@ timeout: 60
. /tests/guest/lib/recovery.sh
start_driver
put_noise $disk 100
for way in remove unbind; do
    start_noting $disk
    start=$EPOCHREALTIME
    if [[ $way == remove ]]; then
        echo 1 >"/sys/bus/pci/devices/$bdf/remove"
        seconds=$(seconds_since "$start")
        end_noting
        echo 1 >/sys/bus/pci/rescan
    else
        echo "$bdf" >/sys/bus/pci/drivers/$driver/unbind
        seconds=$(seconds_since "$start")
        end_noting
        echo "$bdf" >/sys/bus/pci/drivers/$driver/bind
    fi
    wait_for 20 test -b /dev/$disk
    expect_noted $disk "$way"
    expect_noise $disk 100
    row "$way under writes" "acknowledged writes are there" "$seconds" bind
done
stop_driver
