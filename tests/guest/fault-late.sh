# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A command that is late is aborted, and if that does not help the controller is
# reset: the reader sees nothing of it but the time, and the disk works on.
# (QEMU waits for the delayed read while it resets the controller: 8 s.)
#@ machine: faults
#@ timeout: 90
#@ allow-trace: pci_nvme_err_aio pci_nvme_err_req_status
. /tests/guest/lib.sh
load_disk io_timeout=2
put_noise rnvme0n1 100
mark
start=$SECONDS
timeout 60 dd if=/dev/rnvme0n1 of=/dev/null bs=4k skip=1024 count=1 iflag=direct status=none ||
    die "the read failed"
((SECONDS - start < 14)) || die "the late read took $((SECONDS - start)) s"
expect_klog "timed out, aborting it"
expect_klog "resetting the controller"
expect_klog "controller is back after"
expect_noise rnvme0n1 100
verify rnvme0n1 --offset=16m --bsrange=512-256k --blockalign=512 --size=4m --iodepth=16
unload
