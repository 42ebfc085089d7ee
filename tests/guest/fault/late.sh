# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A command times out: the driver aborts it, then resets the controller and sends the
# command again; its reader sees no error.  (QEMU aborts nothing and says so, and its
# reset waits for the delayed read: 8 s.)
#@ machine: faults
#@ timeout: 60
#@ allow-trace: pci_nvme_err_aio pci_nvme_err_req_status
. /tests/guest/lib/recovery.sh
start_driver
put_noise $disk 100
start_oracle $disk
mark
start=$EPOCHREALTIME
outcome="no error"
timeout $patience dd if=/dev/$disk of=/dev/null bs=4k skip=1024 count=1 iflag=direct status=none ||
    outcome=error
seconds=$(seconds_since "$start")
must judge "a read that times out" "no error" "$seconds"
must expect_klog "timeout, aborting"
must expect_klog "resetting the controller"
must expect_klog "controller is back after"
row "one read takes 8 s" "$outcome" "$seconds" nothing
oracle_goes_on "a read that timed out"
end_oracle
expect_noise $disk 100
stop_driver
