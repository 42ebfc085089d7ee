# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# insmod takes no device from the kernel's nvme driver. scripts/bind moves a device to
# rnvme and back, but refuses one whose disk is mounted, swap or open.  (The trace events come
# from nvme, which asks for features that QEMU lacks.)
#@ kernels: stock
#@ timeout: 60
#@ allow-trace: pci_nvme_err_req_status
. /tests/guest/lib.sh
modprobe nvme || die "modprobe nvme failed"
wait_for 20 test -b /dev/nvme0n1
path=$(readlink -f /sys/class/nvme/nvme0/device)
bdf=${path##*/}
driver() { basename "$(readlink -f "/sys/bus/pci/devices/$bdf/driver")"; }
load
expect "the device's driver after insmod" nvme "$(driver)"
[[ ! -e /dev/rnvme0n1 && ! -e /sys/class/rnvme/rnvme0 ]] || die "expected insmod to leave nvme's device alone, but rnvme took it"
put_noise nvme0n1 100

mkfs.ext4 -q -F /dev/nvme0n1 20M
mkdir -p /mnt/disk
mount -t ext4 /dev/nvme0n1 /mnt/disk || die "mount failed"
expect_failure bash /scripts/bind "$bdf"
expect_like "the reason" "*nvme0n1 is mounted*" "$failed_with"
expect "the driver of a mounted disk" nvme "$(driver)"
umount /mnt/disk
mkswap /dev/nvme0n1 >/dev/null
if swapon /dev/nvme0n1 2>/dev/null; then
    expect_failure bash /scripts/bind "$bdf"
    expect_like "the reason" "*nvme0n1 is swap*" "$failed_with"
    expect "the driver of a disk with swap" nvme "$(driver)"
    swapoff /dev/nvme0n1
fi

exec 9</dev/nvme0n1
expect_failure bash -c "exec 9<&-; exec bash /scripts/bind $bdf"
expect_like "the reason" "*nvme0n1 is open in a program*" "$failed_with"
expect "the driver of a disk that is open" nvme "$(driver)"
exec 9<&-

bash /scripts/bind "$bdf" || die "bind failed"
expect "the driver after bind" rnvme "$(driver)"
wait_for 20 test -b /dev/rnvme0n1
[[ ! -e /dev/nvme0n1 ]] || die "expected no disk of nvme after the move, saw nvme0n1"
expect_noise rnvme0n1 100
put_noise rnvme0n1 200
bash /scripts/bind --back "$bdf" || die "bind --back failed"
expect "the driver after bind --back" nvme "$(driver)"
wait_for 20 test -b /dev/nvme0n1
expect "driver_override" "(null)" "$(cat "/sys/bus/pci/devices/$bdf/driver_override")"
expect_noise nvme0n1 200
unload
modprobe -r nvme || die "modprobe -r nvme failed"
