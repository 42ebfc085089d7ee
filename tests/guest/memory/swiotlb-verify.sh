# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# All data goes through bounce buffers: no request is larger than a bounce buffer, offsets
# within pages are kept, and I/O goes on when the buffers run short.
#@ machine: cmb
#@ timeout: 90
. /tests/guest/lib.sh
load_disk
used() { cat /sys/kernel/debug/swiotlb/io_tlb_used; }
before=$(used)
verify rnvme0n1 --bsrange=512-1m --blockalign=512 --size=12m --iodepth=16
verify rnvme0n1 --bsrange=512-256k --blockalign=512 --size=4m --iodepth=16 --iomem_align=516
verify rnvme0n1 --bs=4k --size=4m --iodepth=32 --numjobs=2 --offset_increment=16m
high=$(cat /sys/kernel/debug/swiotlb/io_tlb_used_hiwater)
((high > before)) || die "expected bounce buffers in use, saw none"
expect "bounce buffers in use afterwards" "$before" "$(used)"
unload
