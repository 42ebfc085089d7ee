# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# fsync reaches the device as a flush, and a write that must be on the medium
# (FUA) has that bit in its command; one that need not has not.
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
(($(host trace-count pci_nvme_flush_ns) > before)) || die "fsync made no flush"

# The command that the first doorbell since a line of the trace told of, from
# the ring in the guest's memory: its 16 dwords.
command_after() { # NUMBER-OF-DOORBELLS-BEFORE
    local line sq tail addr size
    line=$(host trace-log pci_nvme_mmio_doorbell_sq | sed -n "$(($1 + 1))p")
    [[ $line =~ sqid\ ([0-9]+)\ new_tail\ ([0-9]+) ]] || die "no doorbell: $line"
    sq=${BASH_REMATCH[1]} tail=${BASH_REMATCH[2]}
    line=$(host trace-log pci_nvme_create_sq | grep "sqid=$sq,")
    [[ $line =~ addr=(0x[0-9a-f]+).*qsize=([0-9]+) ]] || die "no such queue: $line"
    addr=${BASH_REMATCH[1]} size=$((BASH_REMATCH[2] + 1))
    addr=$(printf '0x%x' $((addr + (tail + size - 1) % size * 64)))
    qmp human-monitor-command "{\"command-line\":\"xp /16wx $addr\"}" | tr -d '"\r\n' |
        sed 's/\\[rn]/ /g; s/[0-9a-f]*://g'
}
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
