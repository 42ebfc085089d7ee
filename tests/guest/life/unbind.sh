# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Unbind under I/O: fio gets errors and ends, and the disk goes. After a bind the disk is
# back with its data.
#@ timeout: 60
. /tests/guest/lib.sh
load_disk
put_noise rnvme0n1 100
bdf=$(pci_of rnvme0)
for round in 1 2 3; do
    unbind_under_fio "$bdf" rnvme0n1
    wait_gone 5 test -e /dev/rnvme0n1
    [[ ! -e /sys/class/rnvme/rnvme0 ]] || die "round $round: expected no class device after unbind, saw rnvme0"
    bind_again "$bdf" rnvme0n1
    expect_noise rnvme0n1 100
done
verify rnvme0n1 --bsrange=512-256k --blockalign=512 --size=4m --iodepth=16
unload
