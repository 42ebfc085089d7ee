# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A transient error: the driver tries the command again, and the reader sees no error.
#@ machine: faults
#@ allow-trace: pci_nvme_err_aio pci_nvme_err_req_status
. /tests/guest/lib.sh
load_disk
mark
dd if=/dev/rnvme0n1 of=/dev/null bs=4k skip=512 count=1 iflag=direct status=none || die "the read failed"
(($(host trace-count pci_nvme_err_aio))) || die "expected an error of the device, saw none"
expect "lines about it" 0 "$(klog_count "failed")"
unload
