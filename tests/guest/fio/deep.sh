# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Many small commands in flight from both CPUs: tags, both rings and the phase tag wrap
# many times.
#@ timeout: 60
. /tests/guest/lib.sh
load_disk
verify rnvme0n1 --bs=4k --size=12m --iodepth=32 --numjobs=2 --offset_increment=64m
unload
# More I/O at a time than a ring has entries.
load io_queue_depth=4
wait_for 20 test -b /dev/rnvme0n1
verify rnvme0n1 --bs=4k --size=4m --iodepth=64 --numjobs=2 --offset_increment=64m
unload
