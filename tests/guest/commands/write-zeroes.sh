# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Zeroing a range reaches the device as Write Zeroes commands, each as large as a
# transfer may be. The range reads back as zeroes; the blocks beside it keep their data.
. /tests/guest/lib.sh
load_disk
queue=/sys/block/rnvme0n1/queue
expect "largest Write Zeroes" $(($(<$queue/max_hw_sectors_kb) << 10)) "$(<$queue/write_zeroes_max_bytes)"
zeroes() {
    host trace-log pci_nvme_write | grep WRITE_ZEROES
}
for mebibyte in 1 2 3; do
    put_noise rnvme0n1 $mebibyte
done
host trace-on pci_nvme_write
blkdiscard -f -z -o 2M -l 1M /dev/rnvme0n1 || die "blkdiscard -f -z failed"
cmp -n 1048576 -i 2097152:0 /dev/rnvme0n1 /dev/zero || die "expected zeroes in the zeroed range"
expect_noise rnvme0n1 1
expect_noise rnvme0n1 3
expect "Write Zeroes commands" 2 "$(zeroes | wc -l)"
zeroes | grep -q 'nlb 1024 .*lba 0x1000$' || die "expected Write Zeroes of 1024 blocks at LBA 0x1000, saw: $(zeroes)"
zeroes | grep -q 'nlb 1024 .*lba 0x1400$' || die "expected Write Zeroes of 1024 blocks at LBA 0x1400, saw: $(zeroes)"
# One block, not the first of its page.
blkdiscard -f -z -o $((1048576 + 512)) -l 512 /dev/rnvme0n1 || die "blkdiscard -f -z of a block failed"
zeroes | grep -q 'nlb 1 .*lba 0x801$' || die "expected Write Zeroes of one block at LBA 0x801, saw: $(zeroes)"
cmp -n 512 -i $((1048576 + 512)):0 /dev/rnvme0n1 /dev/zero || die "expected a block of zeroes at LBA 0x801"
cmp -n 512 -i 1048576:0 /dev/rnvme0n1 /tmp/noise || die "expected the block before it unchanged"
cmp -n 4096 -i $((1048576 + 1024)):1024 /dev/rnvme0n1 /tmp/noise || die "expected the blocks after it unchanged"
host trace-off pci_nvme_write
unload
