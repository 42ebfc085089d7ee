# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Without MSI-X and MSI (the kernel is told that the device has none) the pin's
# interrupt serves all queues.
. /tests/guest/lib.sh
load_disk
bdf=$(pci_of rnvme0)
echo "$bdf" >/sys/bus/pci/drivers/rnvme/unbind
echo 0 >"/sys/bus/pci/devices/$bdf/msi_bus" || skip "this kernel cannot take MSI from a device"
echo "$bdf" >/sys/bus/pci/drivers/rnvme/bind || die "it cannot be bound"
wait_for 20 test -b /dev/rnvme0n1
expect_like "the interrupt" "*IO-APIC*rnvme0q0*" "$(grep rnvme /proc/interrupts)"
expect "interrupts" 1 "$(grep -c rnvme /proc/interrupts)"
verify rnvme0n1 --bsrange=512-256k --blockalign=512 --size=4m --iodepth=16
echo "$bdf" >/sys/bus/pci/drivers/rnvme/unbind
echo 1 >"/sys/bus/pci/devices/$bdf/msi_bus"
unload
