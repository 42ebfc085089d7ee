# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Resets under verified I/O: of the controller, through sysfs, ten times (or as often as
# `make soak` says), and of the PCI function.  No I/O fails and no data is lost. QEMU may end
# the commands that it has when its queues go, and traces that.
#@ timeout: 60
#@ allow-trace: pci_nvme_err_req_status
. /tests/guest/lib/recovery.sh
rounds=$(soak_rounds resets 10)
start_driver
put_noise $disk 100
slow_disk $disk
start_oracle $disk
reset_controller || must die "the reset failed"
count_begin
for ((round = 1; round <= rounds; round++)); do
    mark
    reset_controller || must die "round $round: the reset failed"
    within "$took" $back_bound || must die "round $round: expected a reset within $back_bound s, it took $took s"
    must is_state live || die "round $round: expected state live, saw $(ctrl_state)"
    ((round > 1)) || row "reset_controller under I/O" "$(ctrl_state)" "$took" nothing
    oracle_goes_on "round $round"
done
((rounds < 50)) || count_end "$rounds"
for round in 1 2 3; do
    start=$EPOCHREALTIME
    echo 1 >"/sys/bus/pci/devices/$bdf/reset" || die "the function level reset failed"
    took=$(seconds_since "$start")
    within "$took" $back_bound || must die "expected a function level reset within $back_bound s, it took $took s"
    must wait_for 5 is_state live
    ((round > 1)) || row "function level reset under I/O" "$(ctrl_state)" "$took" nothing
    oracle_goes_on "reset of the function, round $round"
done
fast_disk $disk
end_oracle
expect_noise $disk 100
stop_driver
