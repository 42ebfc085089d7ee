# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Doorbells a command: sequential reads ring each doorbell once a read, and a batch of
# reads rings the submission queue's doorbell once.
. /tests/guest/lib.sh
load_disk
count() { host trace-count "pci_nvme_mmio_doorbell_$1"; }
host trace-on "pci_nvme_mmio_doorbell_*"
host trace-on pci_nvme_read
dd if=/dev/rnvme0n1 of=/dev/null bs=4k count=100 iflag=direct status=none || die "dd failed"
sq=$(count sq) cq=$(count cq)
expect "reads at the device" 100 "$(host trace-count pci_nvme_read)"
expect "submission doorbells of 100 reads" 100 "$sq"
expect "completion doorbells of 100 reads" 100 "$cq"
# Batches of 32 that one system call submits under one plug; without merges.
echo 2 >/sys/block/rnvme0n1/queue/nomerges
fio --name=batch --filename=/dev/rnvme0n1 --direct=1 --ioengine=io_uring --rw=randread --bs=4k \
    --size=16m --number_ios=640 --iodepth=32 --iodepth_batch_submit=32 \
    --iodepth_batch_complete_min=32 --iodepth_batch_complete_max=32 >/tmp/fio.log 2>&1 ||
    die "fio: $(cat /tmp/fio.log)"
reads=$(($(host trace-count pci_nvme_read) - 100))
sq=$(($(count sq) - sq))
expect "reads at the device" 640 "$reads"
# Shadow doorbells can save even the one of a batch.
((sq <= 20)) || die "expected at most one submission doorbell for each of 20 batches, saw $sq"
host trace-off "pci_nvme_mmio_doorbell_*"
host trace-off pci_nvme_read
unload
