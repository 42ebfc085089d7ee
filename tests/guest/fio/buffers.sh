# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Buffers that begin anywhere: NVMe takes any multiple of 4 bytes, so nothing
# may be copied or refused, and PRP entry 1 has an offset.  fio's iomem_align
# is how far behind a page's start its buffers begin.
#@ timeout: 90
. /tests/guest/lib.sh
load_disk
for offset in 4 508 512 2048 4092; do
    verify rnvme0n1 --iomem_align=$offset --bsrange=512-1m --blockalign=512 --size=8m --iodepth=8
done
# One page less 4 bytes, a page, two pages: where PRP2 turns into a list.
verify rnvme0n1 --iomem_align=4092 --bs=4k --size=1m --iodepth=8
verify rnvme0n1 --iomem_align=4 --bs=8k --size=1m --iodepth=8
# Memory of other kinds: pieces of one page, shared, and huge pages (one piece
# for a whole request; only where the kernel has them).
for mem in mmap shm mmapshared; do
    verify rnvme0n1 --mem=$mem --bsrange=512-1m --blockalign=512 --size=8m --iodepth=8
done
if [[ -e /proc/sys/vm/nr_hugepages ]]; then
    echo 12 >/proc/sys/vm/nr_hugepages
    for offset in 0 516; do
        verify rnvme0n1 --mem=mmaphuge --hugepage-size=2m --iomem_align=$offset --bsrange=512-1m \
            --blockalign=512 --size=16m --iodepth=8
    done
    echo 0 >/proc/sys/vm/nr_hugepages
fi
unload
