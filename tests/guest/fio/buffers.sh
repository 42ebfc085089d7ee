# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Buffers that begin anywhere in a page: NVMe takes any multiple of 4 bytes, so the
# kernel may neither copy nor refuse them, and PRP1 has an offset.  fio's iomem_align is
# the offset of its buffers in a page.
#@ timeout: 90
. /tests/guest/lib.sh
load_disk
for offset in 4 508 512 2048 4092; do
    verify rnvme0n1 --iomem_align=$offset --bsrange=512-1m --blockalign=512 --size=8m --iodepth=8
done
# At the edge between a PRP2 that is data and one that points to a list.
verify rnvme0n1 --iomem_align=4092 --bs=4k --size=1m --iodepth=8
verify rnvme0n1 --iomem_align=4 --bs=8k --size=1m --iodepth=8
# Other kinds of memory: single pages, shared pages, and huge pages (one segment for a
# whole request; only if the kernel has huge pages).
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
