# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The device is unbound while fio works: fio gets errors and ends, the disk
# goes, and bound again it comes back with its data.
#@ timeout: 60
. /tests/guest/lib.sh
load_disk
put_noise rnvme0n1 100
bdf=$(pci_of rnvme0)
for round in 1 2 3; do
    start_fio rnvme0n1
    echo "$bdf" >/sys/bus/pci/drivers/rnvme/unbind || die "round $round: it cannot be unbound"
    expect_fio_fails 15
    wait_gone 5 test -e /dev/rnvme0n1
    [[ ! -e /sys/class/rnvme/rnvme0 ]] || die "round $round: the class device is still there"
    echo "$bdf" >/sys/bus/pci/drivers/rnvme/bind || die "round $round: it cannot be bound"
    wait_for 20 test -b /dev/rnvme0n1
    expect_noise rnvme0n1 100
done
verify rnvme0n1 --bsrange=512-256k --blockalign=512 --size=4m --iodepth=16
unload
