# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# All modes of the data path, verified, without an IOMMU.
#@ machine: iommu
#@ timeout: 120
. /tests/guest/lib.sh
host trace-on "pci_nvme_map_prp"
host trace-on "pci_nvme_map_sgl"
host trace-on pci_nvme_dbbuf_config
# The IOMMU is out of the way; afterwards each device has the mapping that it had.
kinds() { # KIND
    local slot group
    for slot in 04 05; do
        group=/sys/bus/pci/devices/0000:00:$slot.0/iommu_group/type
        echo "$1" >$group || die "setting the type of the IOMMU group of $slot to $1 failed"
        expect "kind of mapping" "$1" "$(<$group)"
    done
}
kinds identity
verify_modes 0 rnvme0n1 rnvme1n1
kinds DMA
(($(host trace-count pci_nvme_map_prp) > 100)) || die "expected more than 100 commands with PRPs"
(($(host trace-count pci_nvme_map_sgl) > 100)) || die "expected more than 100 commands with SGLs"
expect "controllers with shadow doorbells, loaded twice" 2 "$(host trace-count pci_nvme_dbbuf_config)"
