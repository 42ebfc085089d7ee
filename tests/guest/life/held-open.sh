# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A disk is held open while its device is unbound and bound again: nothing can be read
# from the old disk, the new disk works beside it, and the module can be unloaded once
# the old disk is closed.
. /tests/guest/lib.sh
load_disk
bdf=$(pci_of rnvme0)
exec 5</dev/rnvme0n1
echo "$bdf" >/sys/bus/pci/drivers/rnvme/unbind
expect "what can still be read" 0 "$(dd bs=4k count=1 iflag=direct status=none <&5 2>/dev/null | wc -c)"
echo "$bdf" >/sys/bus/pci/drivers/rnvme/bind || die "expected bind to succeed"
wait_for 20 disk_at "$bdf"
disk=$(disk_at "$bdf")
wait_for 10 test -b "/dev/$disk"
verify "$disk" --bs=4k --size=1m --iodepth=16
expect_failure rmmod rnvme
exec 5<&-
unload
