# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A controller without a namespace has a class device and no disk. The log says so, and
# the module can be unloaded.
#@ machine: namespaces
. /tests/guest/lib.sh
mark
load
wait_for 20 test -d /sys/class/rnvme/rnvme3
[[ ! -e /dev/rnvme3n1 ]] || die "expected no disk of rnvme3, saw rnvme3n1"
expect_klog "rnvme3: no usable namespace"
expect "lines about it" 1 "$(klog_count "no usable namespace")"
unload
[[ ! -d /sys/class/rnvme ]] || die "expected no class after rmmod, saw /sys/class/rnvme"
