# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# rmmod and unbind shut a controller down as NVMe Base 2.0, 3.6.1 asks: delete the I/O
# queues, request a shutdown (CC.SHN), wait for its end (CSTS.SHST), then disable.
. /tests/guest/lib.sh
for event in pci_nvme_del_sq pci_nvme_del_cq "pci_nvme_mmio_shutdown_*" pci_nvme_mmio_stopped; do
    host trace-on "$event"
done
for way in rmmod unbind; do
    # The driver deletes queues for a second at most, which a host with other work may let pass.
    for _ in 1 2 3; do
        load_disk
        # Events before: loading the driver disables the controller, too.
        old=$(host trace-count "pci_nvme_*")
        mark
        [[ $way != unbind ]] || pci_of rnvme0 >/sys/bus/pci/drivers/rnvme/unbind
        [[ $way != rmmod ]] || unload
        events=$(host trace-log "pci_nvme_*" | tail -n +$((old + 1)) | sed 's/ .*//; s/pci_nvme_//')
        [[ $way != unbind ]] || unload
        (($(klog_count "has not deleted its I/O queues"))) || break
    done
    expect "events of $way" "del_sq del_sq del_cq del_cq mmio_shutdown_set mmio_shutdown_cleared mmio_stopped " "$(
        tr '\n' ' ' <<<"$events")"
done
for event in pci_nvme_del_sq pci_nvme_del_cq "pci_nvme_mmio_shutdown_*" pci_nvme_mmio_stopped; do
    host trace-off "$event"
done
