# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Duplicate NGUIDs, EUI64s or UUIDs. A namespace with an identifier of another namespace of
# its subsystem is left out, with a log line that names both. A namespace with an identifier
# of another subsystem's is left out if it may be shared, else only its identifiers are
# unused.  A namespace that two controllers share has a disk on each.
#@ machine: limits
. /tests/guest/lib.sh
mark
# QEMU is in the table of quirks: its identifiers are used only if the user says so.
# Controllers come up side by side: one after the other, so that the first of two has the identifier.
echo 0 >/sys/bus/pci/drivers_autoprobe
load quirks=1b36:0010:^bogus_nid
for path in /sys/bus/pci/devices/*; do
    [[ $(<"$path/class") != 0x010802 ]] || echo "${path##*/}" >/sys/bus/pci/drivers/rnvme/bind ||
        die "binding ${path##*/} failed"
done
echo 1 >/sys/bus/pci/drivers_autoprobe
wait_for 20 test -b /dev/rnvme1n2
[[ ! -e /dev/rnvme1n3 ]] || die "expected two disks of rnvme1, saw rnvme1n3"
expect_klog "namespace 2: the NGUID is that of namespace 1 of rnvme1, too"
expect_klog "namespace 3: the EUI64 is that of namespace 1 of rnvme1, too"
expect_klog "namespace 4: the UUID is that of namespace 1 of rnvme1, too"
wait_for 20 test -b /dev/rnvme5n1
# Whichever controller is scanned later does without.
one="rnvme2: namespace 1: the UUID is that of namespace 5 of rnvme1"
other="rnvme1: namespace 5: the UUID is that of namespace 1 of rnvme2"
expect "identifiers of another subsystem's" 1 \
    "$(klog | grep -c -F -e "$one: its identifiers are not used" -e "$other: its identifiers are not used")"
expect "paths to one namespace" 1 \
    "$(klog | grep -c -e "rnvme4: namespace 1: rnvme3 has a disk" -e "rnvme3: namespace 1: rnvme4 has a disk")"
expect_klog "rnvme5: namespace 1: the UUID is that of namespace 1 of rnvme"
expect "namespaces left out" 4 "$(klog_count 'left out')"
# Another scan finds the same, and says nothing.
echo 1 >/sys/class/rnvme/rnvme1/rescan_controller
expect "namespaces left out, after a rescan" 4 "$(klog_count 'left out')"
[[ ! -e /dev/rnvme5n2 ]] || die "expected one disk of rnvme5, saw rnvme5n2"
# Both paths lead to the same data.
wait_for 20 test -b /dev/rnvme3n1
wait_for 20 test -b /dev/rnvme4n1
put_noise rnvme3n1 3
expect_noise rnvme4n1 3
verify rnvme1n1 --bs=4k --size=1m --iodepth=8
verify rnvme1n2 --bs=4k --size=1m --iodepth=8
verify rnvme2n1 --bs=4k --size=1m --iodepth=8
# Without rnvme1 the UUID is free: the namespace of rnvme2 has its identifiers again.
bdf=$(pci_of rnvme1)
echo "$bdf" >/sys/bus/pci/drivers/rnvme/unbind
mark
bdf=$(pci_of rnvme2)
echo "$bdf" >/sys/bus/pci/drivers/rnvme/unbind
echo "$bdf" >/sys/bus/pci/drivers/rnvme/bind
wait_for 20 test -b /dev/rnvme1n1
expect "lines about identifiers" 0 "$(klog_count 'its identifiers are not used')"
unload
