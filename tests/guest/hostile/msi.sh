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
# How many interrupts of the pin have come since the boot.
pins() { irqs | awk '{ print $2 + $3 }'; }
mark
load_disk
expect "quirks" broken_msi "$(</sys/class/rnvme/rnvme0/quirks)"
expect_like "the vector" "*IO-APIC*rnvme0q*" "$(irqs)"
verify rnvme0n1 --bs=4k --size=1m --iodepth=8
expect "completions without an interrupt" 0 "$(klog_count "without an interrupt")"
before=$(pins)
unload
mark
load_unbound quirks=15b7:5008:^broken_msi
try_bind 60 "without the quirk" || die "expected bind to succeed, if slowly"
expect_like "the vector" "*MSI*rnvme0q*" "$(irqs)"
(($(klog_count "without an interrupt"))) || die "expected completions without an interrupt"
unload

# Another kernel has left the controller enabled, with completions of its own: the pin is up until
# the controller has stopped. The driver requests its line only then.
load_unbound
hostile "arm left pin=1; arm ready to=0 ms=1500"
mark
echo 1 >"/sys/bus/pci/devices/$bdf/reset" || die "the function level reset failed"
try_bind 20 "the pin is up" || die "expected bind to succeed"
count=$(($(pins) - before))
((count < 1000)) || die "expected no storm from a pin that was up at bind, saw $count interrupts"
expect "lines that are off" 0 "$(klog_count "nobody cared")"
verify rnvme0n1 --bs=4k --size=1m --iodepth=8
unload
