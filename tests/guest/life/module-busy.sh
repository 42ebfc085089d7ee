# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# rmmod is refused while somebody has the disk open, or has it mounted, and
# works afterwards.
. /tests/guest/lib.sh
load_disk
exec 5</dev/rnvme0n1
expect_failure rmmod rnvme
expect_like "rmmod's reason" "*in use*" "$failed_with"
# Nothing has happened to the disk.
dd if=/dev/rnvme0n1 of=/dev/null bs=4k count=1 iflag=direct status=none || die "it cannot be read"
dd bs=4k count=1 status=none <&5 >/dev/null || die "it cannot be read by who has it open"
exec 5<&-
unload
[[ ! -e /dev/rnvme0n1 ]] || die "the disk is still there"
