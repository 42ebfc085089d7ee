# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A disk's limits of atomic writes and discards follow from Identify, and are the same
# with the kernel's nvme driver.
#@ machine: limits
#@ kernels: stock
#@ allow-trace: pci_nvme_err_req_status pci_nvme_err_invalid_opc
#@ timeout: 60
. /tests/guest/lib.sh
load
wait_for 20 test -b /dev/rnvme0n4
limit() { # NUMBER LIMIT EXPECTED
    expect "$2 of rnvme0n$1" "$3" "$(cat "/sys/block/rnvme0n$1/queue/$2")"
}
atomic() { # NUMBER UNIT-MIN UNIT-MAX MAX BOUNDARY
    limit "$1" atomic_write_unit_min_bytes "$2"
    limit "$1" atomic_write_unit_max_bytes "$3"
    limit "$1" atomic_write_max_bytes "$4"
    limit "$1" atomic_write_boundary_bytes "$5"
}
atomic 1 512 16384 16384 0
atomic 2 512 16384 16384 32768
atomic 3 0 0 0 0
atomic 4 4096 4096 4096 0
limit 4 discard_granularity 65536
limit 4 logical_block_size 4096
show() { # NAME
    local limit
    for limit in /sys/block/"$1"/queue/{atomic,discard,write_zeroes}_* \
        /sys/block/"$1"/queue/{{logical,physical}_block_size,{minimum,optimal}_io_size,chunk_sectors,max_discard_segments}; do
        echo "${limit##*/}=$(cat "$limit")"
    done
}
for number in 1 2 3 4; do
    show rnvme0n$number >/tmp/ours.$number
done
unload
modprobe nvme || die "modprobe nvme failed"
# nvme probes controllers and scans namespaces in parallel, so their numbers vary.
theirs() { grep -lx 'a *' /sys/class/nvme/nvme*/serial; }
wait_for 30 theirs
name=$(basename "$(dirname "$(theirs)")")
for number in 1 2 3 4; do
    wait_for 30 test -b "/dev/${name}n$number"
done
for number in 1 2 3 4; do
    disk=$(grep -lx $number /sys/block/"$name"n*/nsid) || die "expected a disk of nvme for namespace $number"
    show "$(basename "${disk%/nsid}")" >/tmp/theirs
    diff /tmp/theirs /tmp/ours.$number >/tmp/diff ||
        die "namespace $number: nvme (-) and rnvme (+) differ: $(cat /tmp/diff)"
done
remove_module modprobe -r nvme || die "modprobe -r nvme failed"
