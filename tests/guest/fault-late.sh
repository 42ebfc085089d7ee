# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A command that is late: the controller is stopped, its I/O fails in bounded
# time and what comes after fails at once; bound anew the disk is back with its
# data.  (QEMU waits for the delayed read while it resets the controller: 8 s.)
#@ machine: faults
#@ timeout: 90
#@ allow-trace: pci_nvme_err_aio pci_nvme_err_req_status
. /tests/guest/lib.sh
load_disk io_timeout=2
put_noise rnvme0n1 100
bdf=$(pci_of rnvme0)
mark
start=$SECONDS
expect_failure timeout 60 dd if=/dev/rnvme0n1 of=/dev/null bs=4k skip=1024 count=1 iflag=direct
expect_like "dd's reason" "*Input/output error*" "$failed_with"
((SECONDS - start < 30)) || die "the late read failed only after $((SECONDS - start)) s"
expect_klog "timed out"
expect_klog "stopping the controller"
start=$SECONDS
for _ in 1 2 3; do
    expect_failure timeout 20 dd if=/dev/rnvme0n1 of=/dev/null bs=4k count=1 iflag=direct
done
((SECONDS - start < 5)) || die "reads of a stopped controller took $((SECONDS - start)) s"
echo "$bdf" >/sys/bus/pci/drivers/rnvme/unbind || die "it cannot be unbound"
echo "$bdf" >/sys/bus/pci/drivers/rnvme/bind || die "it cannot be bound"
wait_for 20 test -b /dev/rnvme0n1
expect_noise rnvme0n1 100
verify rnvme0n1 --offset=16m --bsrange=512-256k --blockalign=512 --size=4m --iodepth=16
unload
