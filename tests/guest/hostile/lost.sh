# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Commands that the controller loses: I/O ends in bounded time, with or without errors,
# never with wrong data, and the disk is back after a bind.
#@ machine: hostile
#@ timeout: 90
#@ waits: stock
. /tests/guest/lib.sh
load_unbound io_timeout=2 admin_timeout=2 io_queue_depth=64

try_bind 15 "bind" || die "expected bind to succeed"
while read -r fault; do
    wait_for 10 test -b /dev/rnvme0n1
    put_noise rnvme0n1 8
    hostile "arm $fault after=20"
    fio_may_fail 25 rnvme0n1
    (($(hostile count "${fault%% *}"))) || die "$fault: the fault was never taken"
    echo "$fault: fio ended with status $fio_status"
    hostile new
    try_unbind 15 "$fault"
    try_bind 15 "bind after $fault" || die "$fault: expected bind to succeed again"
    wait_for 10 test -b /dev/rnvme0n1
    expect_noise rnvme0n1 8
done <<'TABLE'
never queue=io times=3
late queue=io ms=4000 times=3
torn queue=io kind=cid ms=5
overrun queue=io
nointr queue=io times=16
fatal step=io
gone step=io
TABLE
unload
