# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A device of the table of quirks whose MSI never comes, and that has no MSI-X: the driver takes the
# pin. Without the quirk it takes MSI, and each completion is found late, by a look.
#@ machine: msi
#@ kernels: stock
#@ timeout: 90
#@ waits: stock
. /tests/guest/lib.sh
irqs() { grep rnvme0q /proc/interrupts; }
mark
load_disk
expect "quirks" broken_msi "$(</sys/class/rnvme/rnvme0/quirks)"
expect_like "the vector" "*IO-APIC*rnvme0q*" "$(irqs)"
verify rnvme0n1 --bs=4k --size=1m --iodepth=8
expect "completions without an interrupt" 0 "$(klog_count "without an interrupt")"
unload
mark
load_unbound quirks=15b7:5008:^broken_msi
try_bind 60 "without the quirk" || die "expected bind to succeed, if slowly"
expect_like "the vector" "*MSI*rnvme0q*" "$(irqs)"
(($(klog_count "without an interrupt"))) || die "expected completions without an interrupt"
unload

# Another kernel has left the controller enabled, perhaps with the pin up: the driver requests its line
# only once the controller has stopped.
load_unbound
hostile "new; set to=20; arm left; arm ready to=0 ms=6000"
echo 1 >"/sys/bus/pci/devices/$bdf/reset" || die "the function level reset failed"
echo "$bdf" >/sys/bus/pci/drivers/rnvme/bind &
binding=$!
hostile "await ready 1 10"
expect "the line while the controller stops" "" "$(irqs)"
wait $binding || die "expected bind to succeed"
verify rnvme0n1 --bs=4k --size=1m --iodepth=8
unload
