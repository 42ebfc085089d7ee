# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Namespaces 1, 5 and 9 become the disks n1, n2 and n3, as with the kernel's nvme driver,
# and each disk has its own namespace's data.
#@ machine: namespaces
. /tests/guest/lib.sh
load
wait_for 20 test -b /dev/rnvme2n3
for disk in 1 2 3; do
    expect "size of rnvme2n$disk" $(((32 + disk) << 11)) "$(cat /sys/block/rnvme2n$disk/size)"
    echo "this is number $disk" | dd of=/dev/rnvme2n$disk bs=512 conv=sync,nocreat oflag=direct status=none ||
        die "writing to disk $disk failed"
done
[[ ! -e /dev/rnvme2n4 ]] || die "expected three disks of rnvme2, saw rnvme2n4"
unload
load
wait_for 20 test -b /dev/rnvme2n3
for disk in 1 2 3; do
    expect "data of rnvme2n$disk" "this is number $disk" "$(head -n 1 /dev/rnvme2n$disk)"
done
unload
