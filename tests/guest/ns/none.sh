# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A controller without a namespace: it has its class device and no disk, the
# log says so, and it can be unloaded.
#@ machine: namespaces
. /tests/guest/lib.sh
mark
load
wait_for 20 test -d /sys/class/rnvme/rnvme3
[[ ! -e /dev/rnvme3n1 ]] || die "there is a disk"
expect_klog "rnvme3: no usable namespace"
expect "lines about it" 1 "$(klog_count "no usable namespace")"
unload
[[ ! -d /sys/class/rnvme ]] || die "the class is still there"
