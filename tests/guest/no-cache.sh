# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A disk without a volatile cache gets no flush, however often it is asked for.
#@ machine: matrix
. /tests/guest/lib.sh
load
wait_for 30 test -b /dev/rnvme9n1
host trace-on pci_nvme_flush_ns
dd if=/dev/zero of=/dev/rnvme8n1 bs=4k count=4 conv=fsync,notrunc status=none || die "fsync failed"
expect "flushes at a disk without a cache" 0 "$(host trace-count pci_nvme_flush_ns)"
dd if=/dev/zero of=/dev/rnvme9n1 bs=4k count=4 conv=fsync,notrunc status=none || die "fsync failed"
(($(host trace-count pci_nvme_flush_ns) >= 1)) || die "no flush at a disk with a cache"
host trace-off pci_nvme_flush_ns
unload
