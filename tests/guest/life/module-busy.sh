# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# rmmod is refused while the disk is open, and works afterwards: also in the moment in which the last
# file of a disk is closed that was removed before.
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

rounds=10
! is_debug || rounds=3
for ((round = 1; round <= rounds; round++)); do
    load_disk
    bdf=$(pci_of rnvme0)
    exec 5</dev/rnvme0n1
    echo "$bdf" >/sys/bus/pci/drivers/rnvme/unbind || die "unbinding failed"
    # This program has the file, too, and closes it last. Nothing slows down the looks for that.
    sleep 0.3 &
    exec 5<&-
    tries=0
    until rmmod rnvme 2>/dev/null; do
        ((++tries < 500)) || die "rmmod: the module stays in use"
    done
    wait
done
