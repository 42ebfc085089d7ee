# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Reads that fail with every status. Each fails for its submitter, the number of lines in the
# log is bounded, and the disk works afterwards.
#@ machine: hostile
#@ timeout: 60
. /tests/guest/lib.sh
load_disk max_retries=0
put_noise rnvme0n1 8
mark
# Status code types 0 to 7, status codes 0 to 255, but for 0/0, which is success. The
# debug kernel, whose log is slow, tests every seventh.
step=1
! is_debug || step=7
number=$((2047 / step))
hostile arm status queue=io op=2 value=each step=$step times=always
dd if=/dev/rnvme0n1 of=/dev/null bs=4k skip=$((16384 - number)) iflag=direct conv=noerror >/tmp/dd.log 2>&1
expect "errors" $number "$(grep -c "error reading" /tmp/dd.log)"
# Namespace Not Ready is tried again, whatever max_retries says.
failed=$(hostile count status)
((failed >= number && failed <= number + 10)) || die "expected $number failed reads and a few more, saw $failed"
hostile new
(($(klog_count "rnvme0n1") <= 100)) || die "expected at most 100 lines in the log, saw $(klog_count rnvme0n1)"
expect_noise rnvme0n1 8
unload
