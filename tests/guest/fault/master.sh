# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The device loses its right to access memory (bus mastering) under I/O and
# reports a fatal error: it is reset, and the I/O goes on without an error.
#@ machine: faults
#@ timeout: 60
#@ allow-trace: pci_nvme_err_*
. /tests/guest/lib/recovery.sh
start_driver
put_noise $disk 100
start_oracle $disk
mark
start=$EPOCHREALTIME
setpci -s "$bdf" COMMAND=2
# shellcheck disable=SC2329 # called by wait_for
reset_seen() { (($(klog | grep -c -i -E 'resetting the controller|will reset'))); }
wait_for 10 reset_seen
seen=$(seconds_since "$start")
# It is noticed by a look at the status, not by a time-out.
within "$seen" 5 || must die "the fatal error was noticed after $seen s"
# A driver that does not grant it anew gets it back here.
sleep 0.5
setpci -s "$bdf" COMMAND=6
wait_for $dead_bound is_state live
seconds=$(seconds_since "$start")
within "$seconds" $back_bound || must die "live again after $seconds s"
oracle_goes_on "no bus mastering"
end_oracle
row "no bus mastering, fatal status" "no error" "$seconds" nothing
expect_noise $disk 100
stop_driver
