# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The kernel's fault injection (fail_io_timeout) loses completions. The commands time
# out; they are aborted, or sent again after a reset, and the writer sees no error.
#@ kernels: debug
#@ timeout: 60
#@ allow-trace: pci_nvme_err_req_status pci_nvme_err_invalid_field
. /tests/guest/lib.sh
load_disk io_timeout=2 io_queue_depth=64
put_noise rnvme0n1 100
fault=/sys/kernel/debug/fail_io_timeout
[[ -d $fault ]] || mount -t debugfs debugfs /sys/kernel/debug
echo 0 >$fault/verbose
echo 100 >$fault/interval
echo 100 >$fault/probability
echo 3 >$fault/times
mark
echo 1 >/sys/block/rnvme0n1/io-timeout-fail
verify rnvme0n1 --offset=16m --bsrange=512-16k --blockalign=512 --size=2m --iodepth=16
echo 0 >/sys/block/rnvme0n1/io-timeout-fail
expect "completions left to lose" 0 "$(cat $fault/times)"
expect_klog "timeout, aborting"
expect_klog "controller is back after"
expect "state" live "$(cat /sys/class/rnvme/rnvme0/state)"
expect_noise rnvme0n1 100
unload
