# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The device is unplugged under I/O and plugged in again, several times (a hundred in
# `make soak`), by turns with an attention button press and by cutting the slot's power
# without notice.  I/O ends with errors at once, and acknowledged writes are on the disk
# afterwards.
# (7.3's pciehp takes its own two locks in both orders, which lockdep reports.)
#@ timeout: 120
#@ machine: hotplug
#@ allow-log: possible circular locking dependency
#@ allow-log: Call Trace
# (QEMU completes the writes of a controller without power as if their queue was deleted.)
#@ allow-trace: pci_nvme_ub_* pci_nvme_err_req_status
. /tests/guest/lib/recovery.sh
# Longer than the limit for the end of I/O below, so that a timeout would show.
io_timeout=30
start_driver
put_noise $disk 100
port=$(readlink -f "/sys/bus/pci/devices/$bdf/..")
port=${port##*/}
rounds=4
! is_debug || rounds=2
rounds=$(soak_rounds plugs $rounds)

plug() { host qmp '{"execute":"device_add","arguments":{"driver":"nvme","id":"nv0","bus":"rp0","serial":"a","drive":"a"}}'; }
present() { [[ -e /sys/bus/pci/devices/$bdf ]]; }

for ((round = 1; round <= rounds; round++)); do
    ((round != 3)) || count_begin
    start_noting $disk
    if ((round % 2)); then
        how="unplugged"
        qmp device_del '{"id":"nv0"}' >/dev/null
        # The power indicator of the slot blinks for 5 s.
        start=$EPOCHREALTIME
    else
        how="slot power off"
        # QEMU's controller frees its queues at once, and a doorbell that another CPU rings meanwhile
        # is then written into freed memory: there is no other CPU.
        echo 0 >/sys/devices/system/cpu/cpu1/online
        start=$EPOCHREALTIME
        # Power controller off and indicator off in Slot Control, without pciehp's knowledge:
        # QEMU then removes the device at once.
        setpci -s "$port" CAP_EXP+18.w=0700:0700
        echo 1 >/sys/devices/system/cpu/cpu1/online
    fi
    wait_gone $patience kill -0 "$fio_job"
    seconds=$(seconds_since "$start")
    # Before any timeout; the 5 s of the indicator count.
    within "$seconds" 20 || must die "$how: expected I/O to end within 20 s, it took $seconds s"
    end_noting
    # pciehp finds the power off already and does not remove the device.
    ((round % 2)) || echo 1 >"/sys/bus/pci/devices/$bdf/remove"
    wait_gone 30 present
    wait_gone 5 test -e /dev/$disk
    wait_for 20 plug
    setpci -s "$port" CAP_EXP+18.w=0100:0700
    wait_for 30 test -b /dev/$disk
    expect_noted $disk "$how"
    expect_noise $disk 100
    ((round > 2)) || row "$how under writes" "acknowledged writes are there" "$seconds" plugging
done
((rounds < 20)) || count_end "$rounds"
if whole_log | grep -A100 "possible circular" | grep -q '\[rnvme\]'; then
    die "expected no lock of rnvme in lockdep's report: $(whole_log | grep -A100 "possible circular")"
fi
stop_driver
