# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A command that is late: it is aborted, then the controller is reset, and the
# command is sent again: whoever waits for it sees no error.  (QEMU says that it
# aborts nothing, and waits for the delayed read while it resets: 8 s.)
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
must judge "a late read" "no error" "$seconds"
must expect_klog "timed out, aborting it"
must expect_klog "resetting the controller"
must expect_klog "controller is back after"
row "one read takes 8 s" "$outcome" "$seconds" nothing
oracle_goes_on "a late read"
end_oracle
expect_noise $disk 100
stop_driver
