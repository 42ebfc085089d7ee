# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A media error: the reader (or writer) gets ENODATA, the kernel log names the command,
# the LBA and the status, and the rest of the disk works.
#@ machine: faults
#@ allow-trace: pci_nvme_err_aio pci_nvme_err_req_status
. /tests/guest/lib.sh
load_disk
mark
expect_failure dd if=/dev/rnvme0n1 of=/dev/null bs=4k skip=256 count=1 iflag=direct
expect_like "dd's reason" "*No data available*" "$failed_with"
klog | grep -q 'rnvme0n1: Read of 8 blocks at LBA 2048 failed: .*[Uu]nrecovered [Rr]ead' ||
    die "expected a line about the failed command in the kernel log, saw: $(klog)"
expect "lines about one failed read" 1 "$(klog_count "at LBA 2048 failed")"
mark
expect_failure dd if=/dev/zero of=/dev/rnvme0n1 bs=4k seek=2048 count=1 oflag=direct conv=notrunc
expect_like "dd's reason" "*No data available*" "$failed_with"
klog | grep -q 'rnvme0n1: Write of 8 blocks at LBA 16384 failed: .*[Ww]rite [Ff]ault' ||
    die "expected a line about the failed command in the kernel log, saw: $(klog)"
# The neighbouring blocks can be read.
for block in 255 257; do
    dd if=/dev/rnvme0n1 of=/dev/null bs=4k skip=$block count=1 iflag=direct status=none ||
        die "expected block $block beside the bad one to be readable"
done
verify rnvme0n1 --offset=16m --bsrange=512-256k --blockalign=512 --size=8m --iodepth=16
# Repeated media errors do not flood the log.
mark
fio --name=again --filename=/dev/rnvme0n1 --direct=1 --rw=randread --bs=4k --offset=1m --size=4k \
    --norandommap --number_ios=300 --continue_on_error=io >/tmp/fio.log 2>&1
lines=$(klog_count "at LBA 2048 failed")
# The limit is ten lines in five seconds; reads fail faster on any machine.
((lines >= 1 && lines < 150)) || die "expected 1 to 149 lines about 300 failures, saw $lines: $(cat /tmp/fio.log)"
klog | grep -q 'more were not printed' || ((lines <= 10)) || die "expected a line about suppressed lines, saw none"
unload
