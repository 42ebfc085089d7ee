# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# rmmod is refused while the disk is open, and works afterwards.
. /tests/guest/lib.sh
load_disk
exec 5</dev/rnvme0n1
expect_failure rmmod rnvme
expect_like "rmmod's reason" "*in use*" "$failed_with"
# The refusal has not changed the disk.
dd if=/dev/rnvme0n1 of=/dev/null bs=4k count=1 iflag=direct status=none || die "expected the disk to be readable"
dd bs=4k count=1 status=none <&5 >/dev/null || die "expected the open file to be readable"
exec 5<&-
unload
[[ ! -e /dev/rnvme0n1 ]] || die "expected no disk after rmmod, saw rnvme0n1"
