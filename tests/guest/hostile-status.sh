# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Reads that fail with every status there is, each with an error for its
# submitter and a bounded number of lines in the log; then the disk is as before.
#@ machine: hostile
#@ timeout: 60
. /tests/guest/lib.sh
load_disk max_retries=0
put_noise rnvme0n1 8
mark
hostile arm status queue=io op=2 value=each times=always
# Status code types 0 to 7, status codes 0 to 255, but for 0/0, which is success.
dd if=/dev/rnvme0n1 of=/dev/null bs=4k skip=$((16384 - 2047)) iflag=direct conv=noerror >/tmp/dd.log 2>&1
expect "errors" 2047 "$(grep -c "error reading" /tmp/dd.log)"
expect "failed reads" 2047 "$(hostile count status)"
hostile new
(($(klog_count "rnvme0n1") <= 100)) || die "$(klog_count rnvme0n1) lines in the log"
expect_noise rnvme0n1 8
unload
