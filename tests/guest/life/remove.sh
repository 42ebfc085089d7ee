# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The device is removed through sysfs under I/O, and found again by a rescan.
#@ timeout: 60
. /tests/guest/lib.sh
load_disk
put_noise rnvme0n1 100
bdf=$(pci_of rnvme0)
start_fio rnvme0n1
echo 1 >"/sys/bus/pci/devices/$bdf/remove"
expect_fio_fails 15
wait_gone 5 test -e /dev/rnvme0n1
[[ ! -e /sys/bus/pci/devices/$bdf ]] || die "expected no PCI device after remove, saw $bdf"
echo 1 >/sys/bus/pci/rescan
wait_for 20 disk_at "$bdf"
disk=$(disk_at "$bdf")
wait_for 10 test -b "/dev/$disk"
expect_noise "$disk" 100
verify "$disk" --bsrange=512-256k --blockalign=512 --size=4m --iodepth=16
unload
