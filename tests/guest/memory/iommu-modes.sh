# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# All modes of the data path, verified, behind an IOMMU in strict mode.
#@ machine: iommu
#@ timeout: 120
. /tests/guest/lib.sh
host trace-on "pci_nvme_map_prp"
host trace-on "pci_nvme_map_sgl"
host trace-on pci_nvme_dbbuf_config
group=$(readlink -f /sys/bus/pci/devices/0000:00:04.0/iommu_group)
expect "kind of mapping" DMA "$(<"$group/type")"
mark
verify_modes 1 rnvme0n1 rnvme1n1
(($(host trace-count pci_nvme_map_prp) > 100)) || die "expected more than 100 commands with PRPs"
(($(host trace-count pci_nvme_map_sgl) > 100)) || die "expected more than 100 commands with SGLs"
expect "controllers with shadow doorbells, loaded twice" 2 "$(host trace-count pci_nvme_dbbuf_config)"
expect "faults of the IOMMU" 0 "$(klog_count "DMAR: [DMA")"
