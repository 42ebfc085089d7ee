# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The device loses its right to access memory (bus mastering) under I/O and
# reports a fatal error: I/O fails in bounded time, and a new bind repairs it.
#@ machine: faults
#@ timeout: 90
#@ allow-trace: pci_nvme_err_*
. /tests/guest/lib.sh
load_disk io_timeout=2
put_noise rnvme0n1 100
bdf=$(pci_of rnvme0)
start_fio rnvme0n1 --offset=128m
mark
setpci -s "$bdf" COMMAND=2
expect_fio_fails 40
expect_klog "stopping the controller"
expect_failure timeout 20 dd if=/dev/rnvme0n1 of=/dev/null bs=4k count=1 iflag=direct
echo "$bdf" >/sys/bus/pci/drivers/rnvme/unbind || die "it cannot be unbound"
echo "$bdf" >/sys/bus/pci/drivers/rnvme/bind || die "it cannot be bound"
wait_for 20 test -b /dev/rnvme0n1
expect_noise rnvme0n1 100
verify rnvme0n1 --offset=16m --bsrange=512-256k --blockalign=512 --size=4m --iodepth=16
unload
