# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# With use_threaded_interrupts each interrupt has a thread that handles the completions.
# Data is right, unbinding under I/O ends the I/O, and the threads go.
#@ timeout: 120
. /tests/guest/lib.sh

threads() { cat /proc/[0-9]*/comm 2>/dev/null | grep -c '^irq/.*-rnvme'; }
any_thread() { (($(threads) > 0)); }
# Clock ticks of CPU time of the threads.
work() { cat /proc/[0-9]*/stat 2>/dev/null | awk '/\(irq\/[0-9]*-rnvme/ { sum += $(NF - 37) } END { print sum + 0 }'; }

load_disk
expect "threads without the parameter" 0 "$(threads)"
unload

load_disk use_threaded_interrupts=1
expect "interrupts" 3 "$(grep -c rnvme0q /proc/interrupts)"
expect "threads" 3 "$(threads)"
before=$(work)
put_noise rnvme0n1 100
verify rnvme0n1 --bsrange=512-256k --blockalign=512 --size=8m --iodepth=32
verify rnvme0n1 --bs=4k --size=4m --iodepth=1
(($(work) > before)) || die "expected the threads to use CPU time"
expect_noise rnvme0n1 100
bdf=$(pci_of rnvme0)
for _ in 1 2 3; do
    unbind_under_fio "$bdf" rnvme0n1
    # A thread that has ended stays in /proc for a moment.
    wait_gone 5 any_thread
    bind_again "$bdf" rnvme0n1
    expect_noise rnvme0n1 100
done
expect "threads" 3 "$(threads)"
unload
wait_gone 5 any_thread
expect "threads without the module" 0 "$(threads)"
