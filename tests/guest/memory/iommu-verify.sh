# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Behind an IOMMU in strict mode (DMA) and in lazy mode (DMA-FQ): all sizes, all
# alignments, and no DMA outside of the mappings.
#@ machine: iommu
#@ timeout: 90
. /tests/guest/lib.sh
group=$(readlink -f /sys/bus/pci/devices/0000:00:04.0/iommu_group)
[[ -d $group ]] || die "expected the device behind an IOMMU: $(whole_log | grep -i -e dmar -e iommu)"
for type in DMA DMA-FQ; do
    if [[ $(<"$group/type") != "$type" ]]; then
        echo $type >"$group/type" || die "setting the IOMMU group's type to $type failed"
    fi
    expect "kind of mapping" $type "$(<"$group/type")"
    mark
    load_disk
    echo 2048 >/sys/block/rnvme0n1/queue/max_sectors_kb
    verify rnvme0n1 --bsrange=512-1m --blockalign=512 --size=12m --iodepth=16
    verify rnvme0n1 --bsrange=512-256k --blockalign=512 --size=4m --iodepth=16 --iomem_align=516 \
        --numjobs=2 --offset_increment=16m
    verify rnvme0n1 --bs=2m --size=16m --iodepth=2
    verify rnvme0n1 --bs=4k --size=4m --iodepth=32
    unload
    expect "faults of the IOMMU" 0 "$(klog_count "DMAR: [DMA")"
done
