# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The driver configures shadow doorbells (Doorbell Buffer Config) at each start. They save
# register writes when the device is busy, and no command is lost over many rounds of the
# smallest rings.
#@ timeout: 120
. /tests/guest/lib.sh

host trace-on pci_nvme_dbbuf_config
host trace-on "pci_nvme_mmio_doorbell_*"
for depth in 1024 3 2; do
    seen=$(host trace-count pci_nvme_dbbuf_config)
    load_disk io_queue_depth=$depth
    expect "announcements" $((seen + 1)) "$(host trace-count pci_nvme_dbbuf_config)"
    # Without shadow doorbells a read has two register writes. The saving depends on how busy the
    # device is: it idles if the guest is slow or its host is busy. One of three tries must save some.
    for _ in 1 2 3; do
        before=$(host trace-count "pci_nvme_mmio_doorbell_*")
        fio --name=busy --filename=/dev/rnvme0n1 --allow_file_create=0 --direct=1 --ioengine=io_uring \
            --rw=randread --bs=4k --size=16m --number_ios=2000 --iodepth=8 >/tmp/fio.log 2>&1 ||
            die "fio: $(cat /tmp/fio.log)"
        writes=$(($(host trace-count "pci_nvme_mmio_doorbell_*") - before))
        echo "depth $depth: $writes doorbell registers written for 2000 reads"
        ((depth == 1024 && writes >= 3900)) || break
    done
    ((depth < 1024 || writes < 3900)) || die "depth $depth: expected less than 3900 register writes for 2000 reads, saw $writes"
    verify rnvme0n1 --bs=4k --size=4m --iodepth=8
    unload
done
host trace-off pci_nvme_dbbuf_config
host trace-off "pci_nvme_mmio_doorbell_*"
