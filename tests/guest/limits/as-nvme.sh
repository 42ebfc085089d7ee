# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The queue limits of a disk are the same with rnvme and with the kernel's nvme driver, on
# each kind of controller.  (Except virt_boundary_mask: nvme has none if the controller
# supports SGLs.)
#@ machine: matrix
#@ kernels: stock
#@ allow-trace: pci_nvme_err_req_status pci_nvme_err_invalid_opc
#@ timeout: 120
. /tests/guest/lib.sh
limits="logical_block_size physical_block_size minimum_io_size optimal_io_size
    dma_alignment write_cache fua rotational max_hw_sectors_kb chunk_sectors discard_granularity
    discard_max_hw_bytes max_discard_segments write_zeroes_max_bytes write_zeroes_unmap_max_hw_bytes
    atomic_write_max_bytes atomic_write_unit_min_bytes atomic_write_unit_max_bytes
    atomic_write_boundary_bytes"
show() { # NAME
    local limit
    for limit in $limits; do
        echo "$limit=$(cat "/sys/block/$1/queue/$limit")"
    done
}
load
wait_for 30 test -b /dev/rnvme9n1
for number in 0 1 2 3 4 5 6 7 8 9; do
    show rnvme${number}n1 >"/tmp/ours.$(pci_of rnvme$number)"
done
unload
modprobe nvme || die "modprobe nvme failed"
for number in 0 1 2 3 4 5 6 7 8 9; do
    # nvme probes controllers in parallel: the last number need not come last.
    wait_for 30 test -b /dev/nvme${number}n1
    bdf=$(basename "$(readlink -f /sys/class/nvme/nvme$number/device)")
    show nvme${number}n1 >/tmp/theirs
    diff /tmp/theirs "/tmp/ours.$bdf" >/tmp/diff || die "$bdf: nvme (-) and rnvme (+) differ: $(cat /tmp/diff)"
done
remove_module modprobe -r nvme || die "modprobe -r nvme failed"
