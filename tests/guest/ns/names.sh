# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Two controllers with three namespaces each: six disks with the names, sizes
# and block sizes of their namespaces, below their controller's class device
# and PCI device.
#@ machine: namespaces
. /tests/guest/lib.sh
load
wait_for 20 test -b /dev/rnvme1n3
check() { # DISK MEBIBYTE BLOCK BDF
    local class=/sys/class/rnvme/${1%n?} path
    expect "blocks of 512 bytes of $1" $(($2 << 11)) "$(cat "/sys/block/$1/size")"
    expect "block size of $1" "$3" "$(cat "/sys/block/$1/queue/logical_block_size")"
    expect "physical block size of $1" "$3" "$(cat "/sys/block/$1/queue/physical_block_size")"
    expect "size that programs see of $1" $(($2 << 20)) "$(blockdev --getsize64 "/dev/$1")"
    expect "PCI device of ${1%n?}" "/sys/devices/pci0000:00/$4" "$(readlink -f "$class/device")"
    path=$(readlink -f "/sys/block/$1")
    expect "place of $1" "/sys/devices/pci0000:00/$4/rnvme/${1%n?}/$1" "$path"
    expect "parent of $1" "$(readlink -f "$class")" "$(readlink -f "/sys/block/$1/device")"
}
check rnvme0n1 65 512 0000:00:04.0
check rnvme0n2 66 4096 0000:00:04.0
check rnvme0n3 67 512 0000:00:04.0
check rnvme1n1 68 4096 0000:00:05.0
check rnvme1n2 69 512 0000:00:05.0
check rnvme1n3 70 4096 0000:00:05.0
[[ ! -e /dev/rnvme0n4 && ! -e /dev/rnvme1n4 ]] || die "expected three disks a controller, saw a fourth"
unload
