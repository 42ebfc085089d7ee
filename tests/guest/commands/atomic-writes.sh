# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# An atomic write is one command. A write that is too large to be atomic, or crosses
# an atomic boundary, is refused.
#@ machine: limits
. /tests/guest/lib.sh
load
wait_for 20 test -b /dev/rnvme0n4
write() { # NUMBER OFFSET LENGTH
    xfs_io -d -c "pwrite -A -V 1 -b $3 -S 0x$((RANDOM % 90 + 10)) $2 $3" /dev/rnvme0n"$1"
}
host trace-on pci_nvme_write
for number in 1 2; do
    write $number 16384 16384 || die "an atomic write failed on namespace $number"
done
write 4 4096 4096 || die "an atomic write of one block failed"
host trace-off pci_nvme_write
expect "commands for three writes" 3 "$(host trace-count pci_nvme_write)"
expect "writes of 32 blocks at LBA 0x20" 2 "$(host trace-log pci_nvme_write | grep -c ' nlb 32 .* lba 0x20$')"
expect_failure write 1 0 32768
expect_failure write 2 8192 16384
expect_failure write 3 0 512
expect_failure write 4 0 8192
unload
