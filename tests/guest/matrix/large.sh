# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The largest transfers that QEMU supports, 2 MiB: at an offset within a page they fill
# one page of a PRP list to its last entry.  The memory is one segment, or many.  (Only
# KUnit covers chained lists, which need larger transfers.)
#@ machine: matrix
. /tests/guest/lib.sh
load
wait_for 30 test -b /dev/rnvme0n1
echo 2048 >/sys/block/rnvme0n1/queue/max_sectors_kb || die "the disk does not accept max_sectors_kb=2048"
host trace-on pci_nvme_write
largest() { host trace-log pci_nvme_write | sed 's/.*count \([0-9]*\).*/\1/' | sort -n | tail -n 1; }
verify rnvme0n1 --bsrange=512k-2m --blockalign=512 --size=24m --iodepth=4
(($(largest) >= 768 << 10)) || die "expected commands of 768 KiB, the largest had $(largest)"
if [[ -e /proc/sys/vm/nr_hugepages ]]; then
    echo 12 >/proc/sys/vm/nr_hugepages
    for offset in 0 4 516; do
        verify rnvme0n1 --mem=mmaphuge --hugepage-size=2m --iomem_align=$offset --bs=2m \
            --size=24m --iodepth=2
    done
    echo 0 >/proc/sys/vm/nr_hugepages
    expect "bytes of the largest command" $((2 << 20)) "$(largest)"
fi
host trace-off pci_nvme_write
unload
