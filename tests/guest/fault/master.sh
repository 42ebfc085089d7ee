# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Bus mastering is taken from the device under I/O, and the device reports a fatal error:
# the driver resets it, and the I/O goes on without an error.
#@ machine: faults
#@ timeout: 60
#@ allow-trace: pci_nvme_err_*
. /tests/guest/lib/recovery.sh
start_driver
put_noise $disk 100
start_oracle $disk
start=$EPOCHREALTIME
mark
setpci -s "$bdf" COMMAND=2
# shellcheck disable=SC2329 # called by wait_for
reset_seen() { seen=$(klog_seconds "$reset_line"); }
reset_line="resetting the controller"
[[ $driver == rnvme ]] || reset_line="will reset"
wait_for 20 reset_seen
# The watchdog reads CSTS.CFS: no command has to time out.
within "$seen" 5 || must die "expected a reset within 5 s of the fatal error, saw it after $seen s"
# For a driver that does not enable bus mastering again.
pause 0.5
setpci -s "$bdf" COMMAND=6
wait_for $dead_bound is_state live
seconds=$(seconds_since "$start")
within "$seconds" $back_bound || must die "expected state live within $back_bound s, saw it after $seconds s"
oracle_goes_on "no bus mastering"
end_oracle
row "no bus mastering, fatal status" "no error" "$seconds" nothing
expect_noise $disk 100
stop_driver
