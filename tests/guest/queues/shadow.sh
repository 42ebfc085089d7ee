# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Shadow doorbells are announced, each time anew, and save register writes when
# the device is busy; nothing is lost over many rounds of the smallest rings.
#@ timeout: 120
. /tests/guest/lib.sh

host trace-on pci_nvme_dbbuf_config
host trace-on "pci_nvme_mmio_doorbell_*"
for depth in 1024 3 2; do
    seen=$(host trace-count pci_nvme_dbbuf_config)
    load_disk io_queue_depth=$depth
    expect "announcements" $((seen + 1)) "$(host trace-count pci_nvme_dbbuf_config)"
    before=$(host trace-count "pci_nvme_mmio_doorbell_*")
    fio --name=busy --filename=/dev/rnvme0n1 --direct=1 --ioengine=io_uring --rw=randread --bs=4k \
        --size=16m --number_ios=2000 --iodepth=8 >/tmp/fio.log 2>&1 || die "fio: $(cat /tmp/fio.log)"
    writes=$(($(host trace-count "pci_nvme_mmio_doorbell_*") - before))
    echo "depth $depth: $writes doorbell registers written for 2000 reads"
    # Without shadows there are two for a read. How many are saved depends on how busy the device
    # is: a slow guest, or one on a busy machine, lets it wait.
    ((depth < 1024 || writes < 3900)) || die "depth $depth: $writes register writes for 2000 reads"
    verify rnvme0n1 --bs=4k --size=4m --iodepth=8
    unload
done
host trace-off pci_nvme_dbbuf_config
host trace-off "pci_nvme_mmio_doorbell_*"
