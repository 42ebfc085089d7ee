# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Submission queues in the controller memory buffer with use_cmb_sqes=1: their addresses are
# in the controller's BAR, and their commands arrive. Queues that do not fit, and
# controllers without a CMB, use the host's memory.
#@ machine: cmb
#@ timeout: 120
. /tests/guest/lib.sh

# How many of the submission queues that were created are in BAR 2 of a device.
rings() { # SLOT
    local start end addr
    read -r start end _ < <(sed -n 3p "/sys/bus/pci/devices/0000:00:$1.0/resource")
    host trace-log pci_nvme_create_sq | sed -n "s/.*addr=\(0x[0-9a-f]*\),.*/\1/p" | while read -r addr; do
        ((addr >= start && addr <= end && start)) && echo "$addr"
    done | wc -l
}

host trace-on pci_nvme_create_sq
load_disk
wait_for 20 test -b /dev/rnvme2n1
expect "submission queues in the first CMB without use_cmb_sqes" 0 "$(rings 04)"
unload

mark
load_disk use_cmb_sqes=1
wait_for 20 test -b /dev/rnvme2n1
expect "submission queues in the first CMB" 2 "$(rings 04)"
expect "submission queues in the second CMB" 2 "$(rings 05)"
expect_klog "rnvme 0000:00:04.0: 2 submission queues are in the controller's memory"
expect_klog "rnvme 0000:00:06.0: controller memory buffer: there is none"
for disk in rnvme0n1 rnvme1n1; do
    verify $disk --bsrange=512-256k --size=2m --iodepth=16
done
# The driver claims the BAR while it is bound, and releases it afterwards.
grep -q ' : rnvme_cmb$' /proc/iomem || die "expected the CMB's BAR claimed, saw: $(cat /proc/iomem)"
unload
! grep -q rnvme_cmb /proc/iomem || die "expected the CMB's BAR released after rmmod"

# Rings of 2048 entries take 128 KiB each: eight of ten fit into 1 MiB.
mark
load_disk use_cmb_sqes=1 io_queue_depth=2048 poll_queues=8
expect_klog "rnvme 0000:00:04.0: 8 submission queues are in the controller's memory"
verify rnvme0n1 --bs=4k --size=1m --iodepth=32
verify rnvme0n1 --bs=4k --size=1m --iodepth=32 --hipri
unload
host trace-off pci_nvme_create_sq
