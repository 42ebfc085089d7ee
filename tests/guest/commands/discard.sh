# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A discard reaches the device as Dataset Management with the right range. The blocks
# then read as zeroes, as the namespace promises: QEMU punches its backing file.
. /tests/guest/lib.sh
host trace-on pci_nvme_dsm
host trace-on pci_nvme_dsm_deallocate
load_disk
queue=/sys/block/rnvme0n1/queue
expect "ranges of a command" 255 "$(cat /sys/block/rnvme0n1/queue/max_discard_segments)"
(($(cat $queue/discard_max_hw_bytes) >= 1 << 30)) ||
    die "expected discards of 1 GiB at least, saw $(cat $queue/discard_max_hw_bytes) bytes"
for mebibyte in 1 2 3; do
    put_noise rnvme0n1 $mebibyte
done
blkdiscard -f -o 2M -l 1M /dev/rnvme0n1 || die "blkdiscard failed"
expect "Dataset Management commands" 1 "$(host trace-count pci_nvme_dsm)"
host trace-log pci_nvme_dsm_deallocate | grep -q 'slba 4096 nlb 2048' ||
    die "expected the range slba 4096 nlb 2048, saw $(host trace-log pci_nvme_dsm_deallocate)"
cmp -n 1048576 -i 2097152:0 /dev/rnvme0n1 /dev/zero || die "expected zeroes in the discarded range"
expect_noise rnvme0n1 1
expect_noise rnvme0n1 3
host trace-off pci_nvme_dsm
host trace-off pci_nvme_dsm_deallocate
unload
