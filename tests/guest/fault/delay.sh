# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A command is slow but does not time out: its reader waits, other I/O goes on.
#@ machine: faults
. /tests/guest/lib.sh
load_disk io_timeout=10
mark
dd if=/dev/rnvme0n1 of=/dev/null bs=4k skip=1536 count=1 iflag=direct status=none &
slow=$!
verify rnvme0n1 --offset=32m --bs=4k --size=512k --iodepth=16
wait $slow || die "the slow read failed"
expect "lines of the driver" 0 "$(klog_count "rnvme0")"
unload
