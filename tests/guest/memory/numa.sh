# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The memory of a queue is on the device's NUMA node, even a node without CPUs. The test
# sets the node through sysfs (the kernel logs that as a bug of the firmware), because the
# firmware of this machine reports no node for devices.
#@ machine: numa
#@ kernels: stock
#@ allow-log: Overriding NUMA node
. /tests/guest/lib.sh

# KiB of unreclaimable slab memory on a node.
slab() { awk '/SUnreclaim/ { print $4 }' "/sys/devices/system/node/node$1/meminfo"; }

# $seen: how many of these KiB a bind takes on node 1 with the device on a node.
taken() { # NODE
    local before
    echo "$1" >"/sys/bus/pci/devices/$bdf/numa_node" || die "setting the device's node to $1 failed"
    before=$(slab 1)
    echo "$bdf" >/sys/bus/pci/drivers/rnvme/bind || die "expected bind to succeed"
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
# The commands in flight of two queues (32 KiB each) and blk-mq's tags reach this. Lists are not slab
# memory.
((far >= 128)) || die "expected at least 128 KiB on the device's node, saw $far"
((near < 64)) || die "expected less than 64 KiB on the other node, saw $near"
unload
