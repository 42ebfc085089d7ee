# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A namespace with metadata, which the driver does not support, is left out with a line in
# the log; the other namespaces of its controller work.
#@ machine: namespaces
. /tests/guest/lib.sh
mark
load
wait_for 20 test -b /dev/rnvme4n2
[[ ! -e /dev/rnvme4n3 ]] || die "expected two disks of rnvme4, saw rnvme4n3"
expect "size of the first disk" $((36 << 11)) "$(cat /sys/block/rnvme4n1/size)"
expect "size of the second disk" $((38 << 11)) "$(cat /sys/block/rnvme4n2/size)"
klog | grep -q 'rnvme4.*namespace 2.*metadata' || die "expected a log line about the metadata of namespace 2, saw: $(klog)"
verify rnvme4n1 --bs=4k --size=1m --iodepth=8
verify rnvme4n2 --bs=4k --size=1m --iodepth=8
unload
