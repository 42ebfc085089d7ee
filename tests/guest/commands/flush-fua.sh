# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# fsync reaches the device as a Flush. The command of a write has FUA set if the data
# must be on the medium, and only then.
. /tests/guest/lib.sh
host trace-on pci_nvme_create_sq
host trace-on pci_nvme_mmio_doorbell_sq
host trace-on pci_nvme_flush_ns
load_disk
host trace-off pci_nvme_create_sq
before=$(host trace-count pci_nvme_flush_ns)
dd if=/dev/zero of=/dev/rnvme0n1 bs=4k count=4 oflag=direct conv=notrunc status=none
expect "flushes of writes without fsync" "$before" "$(host trace-count pci_nvme_flush_ns)"
dd if=/dev/zero of=/dev/rnvme0n1 bs=4k count=4 conv=fsync,notrunc status=none || die "fsync failed"
(($(host trace-count pci_nvme_flush_ns) > before)) || die "expected fsync to send a Flush, saw none"

try() { # EXPECTED-FUA DD-FLAGS
    local before command
    before=$(host trace-count pci_nvme_mmio_doorbell_sq)
    dd if=/dev/zero of=/dev/rnvme0n1 bs=4k count=1 seek=9 oflag="$2" conv=notrunc status=none
    read -ra command < <(command_after "$before")
    expect "dwords of a command" 16 ${#command[@]}
    expect "opcode of a write ($2)" 1 $((command[0] & 0xff))
    expect "LBA of the write ($2)" 72 $((command[10]))
    expect "blocks of the write ($2)" 7 $((command[12] & 0xffff))
    expect "FUA of a write with $2" "$1" $((command[12] >> 30 & 1))
}
try 0 direct
try 1 direct,dsync
host trace-off pci_nvme_mmio_doorbell_sq
host trace-off pci_nvme_flush_ns
unload
