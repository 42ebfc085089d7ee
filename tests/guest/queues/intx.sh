# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Without MSI-X and MSI (disabled through sysfs) the pin's interrupt serves all queues.  The
# pin stays asserted until the completion queue's head doorbell is written. The driver
# writes it at once: else the interrupt repeats until the kernel disables the line as
# spurious.  There are no more interrupts than I/Os.  With use_threaded_interrupts the pin's
# interrupt has no thread; unbinding under I/O before leaves no level up.
#@ machine: bookless
#@ timeout: 120
. /tests/guest/lib.sh

threads() { cat /proc/[0-9]*/comm 2>/dev/null | grep -c '^irq/.*-rnvme'; }
interrupts() { awk '/rnvme/ { sum += $2 + $3 } END { print sum + 0 }' /proc/interrupts; }

load_disk
bdf=$(pci_of rnvme0)
bind_to_pin "$bdf" rnvme0n1 || skip "this kernel cannot take MSI from a device"
expect_like "the interrupt" "*IO-APIC*rnvme0q0*" "$(grep rnvme /proc/interrupts)"
expect "interrupts" 1 "$(grep -c rnvme /proc/interrupts)"
verify rnvme0n1 --bsrange=512-256k --blockalign=512 --size=4m --iodepth=16

put_noise rnvme0n1 100
ios=2000
# Timing decides which completions one interrupt finds, hence several rounds.
rounds=6
! is_debug || rounds=3
for ((round = 0; round < rounds; round++)); do
    before=$(interrupts)
    fio --name=pin --filename=/dev/rnvme0n1 --direct=1 --ioengine=io_uring --rw=randread --bs=4k \
        --iodepth=16 --numjobs=2 --size=4m --io_size=$((ios * 2))k --allow_file_create=0 \
        >/tmp/pin 2>&1 || die "fio failed: $(</tmp/pin)"
    seen=$(($(interrupts) - before))
    ((seen > 0 && seen <= ios + ios / 10)) || die "expected 1 to $((ios + ios / 10)) interrupts for $ios reads, saw $seen"
done
expect_noise rnvme0n1 100
unbind_from_pin "$bdf"
unload

load_disk use_threaded_interrupts=1
for _ in 1 2 3; do
    unbind_under_fio "$bdf" rnvme0n1
    bind_again "$bdf" rnvme0n1
done
bind_to_pin "$bdf" rnvme0n1
expect "threads for the pin" 0 "$(threads)"
verify rnvme0n1 --bs=4k --size=1m --iodepth=16
expect_noise rnvme0n1 100
unbind_from_pin "$bdf"
unload
