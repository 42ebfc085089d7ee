# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Write Zeroes may deallocate (DEAC) for a punched hole if deallocated blocks of the
# namespace read as zeroes. It must not deallocate for a zeroed range, which keeps its
# space.
. /tests/guest/lib.sh
host trace-on pci_nvme_create_sq
host trace-on pci_nvme_mmio_doorbell_sq
load_disk
host trace-off pci_nvme_create_sq
queue=/sys/block/rnvme0n1/queue
expect "largest Write Zeroes that may deallocate" "$(<$queue/write_zeroes_max_bytes)" \
    "$(<$queue/write_zeroes_unmap_max_hw_bytes)"
try() { # EXPECTED-DEAC XFS_IO-COMMAND
    local before command
    put_noise rnvme0n1 5
    before=$(host trace-count pci_nvme_mmio_doorbell_sq)
    xfs_io -c "$2 5m 64k" /dev/rnvme0n1 || die "$2 failed"
    read -ra command < <(command_after "$before")
    expect "dwords of a command" 16 ${#command[@]}
    expect "opcode of Write Zeroes ($2)" 8 $((command[0] & 0xff))
    expect "data pointer ($2)" 0 $((command[6] | command[7] | command[8] | command[9]))
    expect "LBA ($2)" 10240 $((command[10]))
    expect "blocks ($2)" 127 $((command[12] & 0xffff))
    expect "DEAC of $2" "$1" $((command[12] >> 25 & 1))
    cmp -n 65536 -i 5242880:0 /dev/rnvme0n1 /dev/zero || die "expected zeroes after $2"
    cmp -n 4096 -i $((5242880 + 65536)):65536 /dev/rnvme0n1 /tmp/noise || die "expected the blocks after the range unchanged"
}
try 1 fpunch
try 0 fzero
host trace-off pci_nvme_mmio_doorbell_sq
unload
