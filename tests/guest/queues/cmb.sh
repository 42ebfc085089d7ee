# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Submission queues in the controller's own memory, if the user wants it: their
# addresses are in its BAR, their commands arrive; queues that do not fit and
# controllers without such memory take the host's.
#@ machine: cmb
#@ timeout: 120
. /tests/guest/lib.sh

# The submission rings that were created, and whether each is in BAR 2 of a device.
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
expect "rings in the first's memory without being asked" 0 "$(rings 04)"
unload

mark
load_disk use_cmb_sqes=1
wait_for 20 test -b /dev/rnvme2n1
expect "rings in the first's memory" 2 "$(rings 04)"
expect "rings in the second's memory" 2 "$(rings 05)"
expect_klog "rnvme 0000:00:04.0: 2 submission queues are in the controller's memory"
expect_klog "rnvme 0000:00:06.0: controller memory buffer: there is none"
for disk in rnvme0n1 rnvme1n1; do
    verify $disk --bsrange=512-256k --size=2m --iodepth=16
done
# Its BAR is another's while we have it, and free afterwards.
grep -q ' : rnvme_cmb$' /proc/iomem || die "the memory is not claimed: $(cat /proc/iomem)"
unload
! grep -q rnvme_cmb /proc/iomem || die "the memory is still claimed"

# Rings of 2048 entries take 128 KiB each: of ten eight fit into 1 MiB.
mark
load_disk use_cmb_sqes=1 io_queue_depth=2048 poll_queues=8
expect_klog "rnvme 0000:00:04.0: 8 submission queues are in the controller's memory"
verify rnvme0n1 --bs=4k --size=1m --iodepth=32
verify rnvme0n1 --bs=4k --size=1m --iodepth=32 --hipri
unload
host trace-off pci_nvme_create_sq
