# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What a queue needs is on the device's NUMA node, even one without CPUs: said of
# the device in sysfs (the kernel calls that a bug of the firmware), for the
# firmware of this machine knows no nodes of devices.
#@ machine: numa
#@ kernels: stock
#@ allow-log: Overriding NUMA node
. /tests/guest/lib.sh

# KiB of a node's memory in the kernel's own small pieces.
slab() { awk '/SUnreclaim/ { print $4 }' "/sys/devices/system/node/node$1/meminfo"; }

# How much of it ($seen) the driver takes on node 1 when the device is on a node.
taken() { # NODE
    local before
    echo "$1" >"/sys/bus/pci/devices/$bdf/numa_node" || die "the device does not go to node $1"
    before=$(slab 1)
    echo "$bdf" >/sys/bus/pci/drivers/rnvme/bind || die "it cannot be bound"
    wait_for 20 test -b /dev/rnvme0n1
    seen=$(($(slab 1) - before))
    verify rnvme0n1 --bsrange=4k-512k --size=4m --iodepth=32 --numjobs=2 --offset_increment=64m
    echo "$bdf" >/sys/bus/pci/drivers/rnvme/unbind
}

[[ -d /sys/devices/system/node/node1 ]] || skip "this kernel knows no NUMA nodes"
load_disk io_queue_depth=2048
bdf=$(pci_of rnvme0)
echo "$bdf" >/sys/bus/pci/drivers/rnvme/unbind
taken 1
far=$seen
taken 0
near=$seen
echo "on node 1: $far KiB with the device there, $near KiB with it on node 0"
# Three queues' segments (128 KiB each) alone are more.
((far >= 384)) || die "only $far KiB are on the device's node"
((near < 128)) || die "$near KiB are on a node that is not the device's"
unload
