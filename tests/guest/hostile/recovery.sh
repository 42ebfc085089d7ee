# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Faults under I/O: commands that the controller loses, aborts that it refuses, controllers
# that fail, stop or vanish, and resets that fail.  With a controller that comes back no
# I/O fails; with one that does not, I/O fails within the bounds of docs/BOUNDS.md,
# and a reset through sysfs brings the controller back.
#@ machine: hostile
#@ timeout: 200
#@ waits: stock
. /tests/guest/lib/recovery.sh
start_driver
# io_timeout 2 s, twice CAP.TO of 2 s, 13 admin commands of 20 ms, and the waits of policy/timing.rs.
must expect recovery_bound_ms 23960 "$(cat $ctrl/recovery_bound_ms)"
put_noise $disk 8
# shellcheck disable=SC2119 # no options
fault_table <<'TABLE'
no error|arm never queue=io after=20
stock no error|arm never queue=io after=20 times=3
stock no error|arm never queue=io after=20; arm noabort times=always
no error|arm never queue=io after=20; arm never queue=admin op=8
no error|arm late queue=io ms=4000 times=3 after=20
stock no error|arm nointr queue=io times=4 after=20
no error|arm torn queue=io kind=cid ms=5 after=20
stock no error|arm elsewhere queue=io after=20
no error|arm overrun queue=io after=20
no error|arm fatal step=io after=20
stock no error|arm stop step=io until=reset after=20
stock error|arm stop step=io after=20
error|arm gone step=io after=20
stock no error|arm fatal step=io after=20; arm ready to=1 ms=500; arm ready to=0 ms=500
stock error|arm fatal step=io after=20; arm ready to=1 times=always
any|arm fatal step=io after=20; arm ready to=0 times=always
no error, second|arm fatal step=io after=20; arm ready to=0 times=always; arm away ms=500
stock error|arm fatal step=io after=20; arm ready to=0 times=always; arm away
stock error|arm fatal step=io after=20; arm fatal step=enable times=always
stock error|arm fatal step=io after=20; arm status queue=admin op=6 times=always
error|arm fatal step=io after=20; arm never queue=admin op=5 times=always
stock no error|arm fatal step=io after=20; arm late queue=admin op=6 ms=3000
no error, second|arm fatal step=io after=20; arm late queue=admin op=6 ms=5600
stock error|arm fatal step=io after=20; arm late queue=admin ms=1900 times=always
no error|arm fatal step=io after=20; arm nointr queue=admin times=always
stock error, live|arm fatal step=io after=20; set shift=12
stock error|arm fatal step=io after=20; set dstrd=3
stock error|arm fatal step=io after=20; set mpsmin=1
error, live|arm fatal step=io after=20; arm status queue=admin op=1 value=0x4102 times=always
TABLE
stop_driver
