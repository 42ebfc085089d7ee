# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Before an orderly shutdown the driver deletes the I/O queues: all submission queues
# together, then all completion queues together, a second at most for both.  A controller
# that deletes late, never, wrongly or without an interrupt is shut down all the same. So it is
# before a reset of the function, whose thread must not wait for I/O while it keeps all I/O back.
#@ machine: hostile
#@ timeout: 60
#@ allow-hostile: queue 0: command id .* is used twice
. /tests/guest/lib/recovery.sh
start_driver write_queues=2 poll_queues=2
put_noise $disk 8
contexts=(/sys/block/"$disk"/mq/*)
all=${#contexts[@]}
((all >= 5)) || die "expected 5 I/O queues or more, saw $all"
# Unbinds after requests; $seconds is how long that took, $orphans how many I/O queues there were at
# the shutdown.
delete() { # REQUESTS
    hostile "new; $1"
    start=$EPOCHREALTIME
    echo "$bdf" >/sys/bus/pci/drivers/rnvme/unbind || die "$1: unbinding failed"
    seconds=$(seconds_since "$start")
    orphans=$(hostile count orphans)
    echo "${1:-nothing}: $seconds s, $orphans queues left"
    within "$seconds" 5 || die "$1: expected unbind within 5 s, it took $seconds s"
    expect "$1: shutdowns" 1 "$(hostile count shutdowns)"
    hostile new
    bind_again "$bdf" $disk
    expect_noise $disk 8
}

# A host with other work may let the second pass.
for requests in "" "arm twice queue=admin op=0|4 times=always"; do
    for _ in 1 2 3; do
        delete "$requests"
        ((orphans)) || break
    done
    expect "$requests: I/O queues at the shutdown" 0 "$orphans"
done
# The controller writes back its caches first.
delete "arm late queue=shutdown ms=1200"
((${seconds/./} >= 12)) || die "expected unbind to wait for the shutdown, it took $seconds s"
# One queue after the other, this would take more than five seconds: two commands a queue.
delete "arm late queue=admin op=0|4 ms=450 times=always"
delete "arm nointr queue=admin op=0|4 times=always"
for op in 0 4; do
    delete "arm status value=0x4101 queue=admin op=$op times=always"
    expect "refused, opcode $op: I/O queues at the shutdown" "$all" "$orphans"
    delete "arm never queue=admin op=$op times=always"
done

# The flags of a thread (include/linux/sched.h): its allocations do no I/O.
no_io=$((0x80000)) seen=0
# This shell may not run in the second that the driver waits.
for _ in 1 2 3; do
    hostile "new; arm never queue=admin op=0 times=always"
    bash -c "echo 1 >/sys/bus/pci/devices/$bdf/reset" &
    resetting=$!
    while read -r -a fields <"/proc/$resetting/stat" && [[ ${fields[2]} != Z ]]; do
        ((!(fields[8] & no_io))) || seen=1
    done 2>/dev/null
    wait $resetting || die "expected the reset of the function to succeed"
    (($(hostile count never) > 0)) || die "expected a reset of the function to delete queues"
    ((!seen)) || break
done
((seen)) || die "expected PF_MEMALLOC_NOIO of the thread that pauses the controller, saw none"
hostile new
expect_noise $disk 8
stop_driver
