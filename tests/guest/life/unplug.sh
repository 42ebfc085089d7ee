# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The device is unplugged under I/O and plugged in again: pciehp removes it after the
# power indicator has blinked for 5 s.
# (7.3's pciehp takes its own two locks in both orders, which lockdep reports.)
#@ timeout: 90
#@ machine: hotplug
#@ allow-log: possible circular locking dependency
#@ allow-log: Call Trace
. /tests/guest/lib.sh
load_disk
put_noise rnvme0n1 100
bdf=$(pci_of rnvme0)
start_fio rnvme0n1
qmp device_del '{"id":"nv0"}' >/dev/null
wait_gone 30 test -e "/sys/bus/pci/devices/$bdf"
expect_fio_fails 15
wait_gone 5 test -e /dev/rnvme0n1
[[ ! -e /sys/class/rnvme/rnvme0 ]] || die "expected no class device after the unplug, saw rnvme0"
plug() { host qmp '{"execute":"device_add","arguments":{"driver":"nvme","id":"nv0","bus":"rp0","serial":"a","drive":"a"}}'; }
wait_for 20 plug
wait_for 30 disk_at "$bdf"
disk=$(disk_at "$bdf")
wait_for 10 test -b "/dev/$disk"
expect_noise "$disk" 100
if whole_log | grep -A100 "possible circular" | grep -q '\[rnvme\]'; then
    die "expected no lock of rnvme in lockdep's report: $(whole_log | grep -A100 "possible circular")"
fi
verify "$disk" --bsrange=512-256k --blockalign=512 --size=4m --iodepth=16
unload
