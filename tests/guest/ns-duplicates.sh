# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Namespaces with an NGUID, EUI64 or UUID that another one of the controller
# has are left out, with a line that names both; the others work.
#@ machine: limits
. /tests/guest/lib.sh
mark
load
wait_for 20 test -b /dev/rnvme1n2
[[ ! -e /dev/rnvme1n3 ]] || die "there are three disks"
expect_klog "namespace 2: the NGUID is that of namespace 1, too"
expect_klog "namespace 3: the EUI64 is that of namespace 1, too"
expect_klog "namespace 4: the UUID is that of namespace 1, too"
expect "namespaces left out" 3 "$(klog_count 'left out')"
verify rnvme1n1 --bs=4k --size=1m --iodepth=8
verify rnvme1n2 --bs=4k --size=1m --iodepth=8
unload
