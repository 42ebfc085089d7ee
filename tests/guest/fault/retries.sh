# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A command that keeps failing is tried again max_retries times. Then its submitter gets
# the error, and the log one line.  A read-ahead is not tried again: a later read of the
# data tries again anyway.
#@ machine: faults
#@ allow-trace: pci_nvme_err_aio pci_nvme_err_req_status
. /tests/guest/lib.sh
errors() { host trace-count pci_nvme_err_aio; }
for retries in 0 1 5 255; do
    load_disk max_retries=$retries
    mark
    before=$(errors)
    expect_failure dd if=/dev/rnvme0n1 of=/dev/null bs=4k skip=256 count=1 iflag=direct
    expect_like "dd's reason" "*No data available*" "$failed_with"
    expect "errors of the device with max_retries=$retries" $((1 + retries)) $(($(errors) - before))
    expect "lines about one failed read" 1 "$(klog_count "at LBA 2048 failed")"
    before=$(errors)
    xfs_io -r -c "fadvise -w 1m 4k" /dev/rnvme0n1 || die "fadvise -w failed"
    another() { (($(errors) > before)); }
    wait_for 10 another
    pause 0.5
    expect "errors of a read-ahead" 1 $(($(errors) - before))
    unload
done
