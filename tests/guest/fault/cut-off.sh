# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The bus freezes under I/O that does not end. The driver does not wait for it as it does before
# a sleep: the commands end at once, and wait or fail. After a remove and a rescan the disk works.
# Until then I/O fails at once, also after a reset that a user requests, which fails.
#@ machine: hostile
#@ timeout: 60
. /tests/guest/lib/recovery.sh
load io_timeout=60
wait_for 20 test -b /dev/$disk
bdf=$(pci_of rnvme0)
hostile "arm never queue=io op=2 times=always"
start_fio $disk --rw=randread --iodepth=4
hostile "await never 4 10"
mark
qmp human-monitor-command '{"command-line":"pcie_aer_inject_error rp0 DLP"}'
ended_at_once() { took=$(klog_seconds "I/O commands wait without the device"); }
wait_for 30 ended_at_once
# Before a sleep the driver waits 10 s for I/O.
within "$took" 9 || die "expected the commands to end at once, it took $took s: $(klog)"
echo "commands ended after $took s"
hostile new
# In QEMU the link does not come back.
wait_for 60 is_state dead
expect_fio_fails 5
# No resume follows: a reset could never end.
! reset_controller || die "expected a reset on a bus that failed for good to fail"
within "$took" 9 || die "expected a reset on a bus that failed for good to fail at once, it took $took s"
expect "state after that reset" dead "$(ctrl_state)"
fio_outcome
expect "I/O after that reset" error "$outcome"
echo 1 >"/sys/bus/pci/devices/$bdf/remove"
echo 1 >/sys/bus/pci/rescan
wait_for 20 test -b /dev/$disk
verify $disk --bs=4k --size=1m --iodepth=16 --offset=16m
unload
