# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The command of a read-ahead has access frequency 7 (DSM, speculative read) and
# Limited Retry set; that of an ordinary read has neither.
. /tests/guest/lib.sh
host trace-on pci_nvme_create_sq
load_disk
host trace-on pci_nvme_mmio_doorbell_sq
host trace-on pci_nvme_read
# The command of the last doorbell.
last() {
    local doorbells
    doorbells=$(host trace-count pci_nvme_mmio_doorbell_sq)
    command_after $((doorbells - 1))
}
check() { # WHAT LBA CDW12 CDW13
    local words
    read -r -a words <<<"$(last)"
    expect "$1: opcode" 02 "${words[0]: -2}"
    expect "$1: first block" "$2" "${words[10]}"
    expect "$1: CDW12" "$3" "${words[12]}"
    expect "$1: CDW13" "$4" "${words[13]}"
}
dd if=/dev/rnvme0n1 of=/dev/null bs=4k skip=512 count=1 iflag=direct status=none || die "the read failed"
check "a read" 0x00001000 0x00000007 0x00000000
reads=$(host trace-count pci_nvme_read)
xfs_io -r -c "fadvise -w 4m 4k" /dev/rnvme0n1 || die "fadvise -w failed"
another() { (($(host trace-count pci_nvme_read) > reads)); }
wait_for 10 another
check "a read-ahead" 0x00002000 0x80000007 0x00000007
# A read-ahead fetches the right data.
put_noise rnvme0n1 100
xfs_io -r -c "fadvise -w 0 1m" /dev/rnvme0n1 || die "fadvise -w failed"
expect_noise rnvme0n1 100
unload
