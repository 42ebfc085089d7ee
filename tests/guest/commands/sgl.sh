# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The driver uses an SGL where it is better or the only way, and PRPs elsewhere. The test
# counts what the device maps and verifies the data, with SGLs preferred from the first
# byte on, then used only where they must be.
#@ timeout: 120
. /tests/guest/lib.sh

maps() { host trace-count "pci_nvme_map_$1"; }
host trace-on "pci_nvme_map_prp"
host trace-on "pci_nvme_map_sgl"

load_disk
expect "virtual boundary" 0 "$(cat /sys/block/rnvme0n1/queue/virt_boundary_mask)"
# A read of one page needs two PRP entries at most, so no SGL is used, whatever the threshold is.
read_pages() { # WHAT
    local sgl prp
    sgl=$(maps sgl) prp=$(maps prp)
    dd if=/dev/rnvme0n1 of=/dev/null bs=4k count=10 iflag=direct status=none || die "dd failed"
    expect "$1: SGLs of reads of a page" "$sgl" "$(maps sgl)"
    prp=$(($(maps prp) - prp))
    ((prp >= 10)) || die "$1: expected PRPs of ten reads of a page, saw $prp"
}
read_pages "the default"
unload

for threshold in 1 0; do
    load_disk sgl_threshold=$threshold
    read_pages "threshold $threshold"
    sgl=$(maps sgl) prp=$(maps prp)
    verify rnvme0n1 --bsrange=512-512k --size=24m --iodepth=8 --iomem_align=512
    sgl=$(($(maps sgl) - sgl)) prp=$(($(maps prp) - prp))
    # With a threshold of 1 only the smallest of these have PRPs, and a run may have none of them.
    ((threshold == 1 || prp > 0)) || die "threshold $threshold: expected PRPs, saw none ($sgl SGLs)"
    ((threshold == 0 || sgl > 20)) || die "threshold $threshold: expected more than 20 SGLs, saw $sgl ($prp PRPs)"
    unload
done
host trace-off "pci_nvme_map_prp"
host trace-off "pci_nvme_map_sgl"
