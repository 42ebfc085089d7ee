# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The kernel that saves the memory of a crashed one has little of its own: one I/O queue of
# 63 commands, whatever the parameters say.
#@ machine: kdump
#@ kernels: stock
. /tests/guest/lib.sh

load_disk poll_queues=1 write_queues=1
expect "queues" 2 "$(</sys/class/rnvme/rnvme0/queue_count)"
expect "commands of a queue" 63 "$(</sys/class/rnvme/rnvme0/sqsize)"
verify rnvme0n1 --bs=64k --size=4m --iodepth=8
echo 1 >/sys/class/rnvme/rnvme0/reset_controller || die "expected the reset to succeed"
verify rnvme0n1 --bs=64k --size=4m --iodepth=8
unload
