# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The pin's interrupt, whose level stays until the controller knows that completions
# were seen: it hears of that at once, else the interrupt comes again and again, until
# the kernel turns it off ("nobody cared").  There are no more interrupts than I/O.
#@ timeout: 60
. /tests/guest/lib.sh

interrupts() { awk '/rnvme/ { sum += $2 + $3 } END { print sum + 0 }' /proc/interrupts; }

load_disk
bdf=$(pci_of rnvme0)
echo "$bdf" >/sys/bus/pci/drivers/rnvme/unbind
echo 0 >"/sys/bus/pci/devices/$bdf/msi_bus" || skip "the device cannot be kept from messages"
echo "$bdf" >/sys/bus/pci/drivers/rnvme/bind || die "it cannot be bound without messages"
wait_for 20 test -b /dev/rnvme0n1
expect_like "the interrupt" "*IO-APIC*rnvme0q0*" "$(grep rnvme /proc/interrupts)"
put_noise rnvme0n1 100
ios=2000
before=$(interrupts)
fio --name=pin --filename=/dev/rnvme0n1 --direct=1 --ioengine=io_uring --rw=randread --bs=4k \
    --iodepth=16 --numjobs=2 --size=4m --io_size=$((ios * 2))k --allow_file_create=0 >/tmp/pin 2>&1 ||
    die "fio failed: $(</tmp/pin)"
seen=$(($(interrupts) - before))
echo "$seen interrupts for $ios reads"
((seen > 0 && seen <= ios + ios / 10)) || die "$seen interrupts for $ios reads"
expect_noise rnvme0n1 100
echo "$bdf" >/sys/bus/pci/drivers/rnvme/unbind
echo 1 >"/sys/bus/pci/devices/$bdf/msi_bus"
unload
