# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A bad place on the medium: its reader (or writer) gets the error that Linux
# has for that, ENODATA, the log says which command, where, and why, and all the
# rest of the disk works.
#@ machine: faults
#@ allow-trace: pci_nvme_err_aio pci_nvme_err_req_status
. /tests/guest/lib.sh
load_disk
mark
expect_failure dd if=/dev/rnvme0n1 of=/dev/null bs=4k skip=256 count=1 iflag=direct
expect_like "dd's reason" "*No data available*" "$failed_with"
klog | grep -q 'rnvme0n1: Read of 8 blocks at LBA 2048 failed: .*[Uu]nrecovered [Rr]ead' ||
    die "no line says what failed: $(klog)"
expect "lines about one failed read" 1 "$(klog_count "at LBA 2048 failed")"
mark
expect_failure dd if=/dev/zero of=/dev/rnvme0n1 bs=4k seek=2048 count=1 oflag=direct conv=notrunc
expect_like "dd's reason" "*No data available*" "$failed_with"
klog | grep -q 'rnvme0n1: Write of 8 blocks at LBA 16384 failed: .*[Ww]rite [Ff]ault' ||
    die "no line says what failed: $(klog)"
# Next to it, and at once.
for block in 255 257; do
    dd if=/dev/rnvme0n1 of=/dev/null bs=4k skip=$block count=1 iflag=direct status=none ||
        die "block $block beside the bad one cannot be read"
done
verify rnvme0n1 --offset=16m --bsrange=512-256k --blockalign=512 --size=8m --iodepth=16
# A medium that goes on failing does not flood the log.
mark
fio --name=again --filename=/dev/rnvme0n1 --direct=1 --rw=randread --bs=4k --offset=1m --size=4k \
    --norandommap --number_ios=300 --continue_on_error=io >/tmp/fio.log 2>&1
lines=$(klog_count "at LBA 2048 failed")
# Ten in five seconds: however slow the machine is, it fails more often than that.
((lines >= 1 && lines < 150)) || die "300 failures made $lines lines: $(cat /tmp/fio.log)"
klog | grep -q 'more were not printed' || ((lines <= 10)) || die "nothing says that lines are missing"
unload
