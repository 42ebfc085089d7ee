# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The machine powers itself off with three drives. Two of them take 4 s to write back their
# cache, the third does not end its I/O, nor its shutdown. All shut down side by side: the whole
# takes the longest one's time. None may access memory then: the one whose shutdown is incomplete is
# disabled, the others are not.
#@ machine: trio
#@ timeout: 60
#@ waits: stock
#@ kernels: stock
. /tests/guest/lib/recovery.sh
if ! took=$(host kept off); then
    load io_timeout=60
    for n in 0 1 2; do
        wait_for 20 test -b /dev/rnvme${n}n1
    done
    for n in 0 1; do
        hostile "@h$n arm late queue=shutdown ms=4000"
    done
    hostile "@h2 arm never queue=io; arm never queue=shutdown"
    # Only the last one's command does not end.
    for n in 0 1 2; do
        start_fio rnvme${n}n1 --rw=randread --iodepth=1
    done
    hostile "@h2 await never 1 10"
    # No answer comes to this request.
    echo "@host off" >/dev/hvc0
    poweroff -n -f
    pause 100
fi
log=$(host kept log)
for n in 0 1 2; do
    expect "h$n: shutdowns" 1 "$(hostile "@h$n count shutdowns")"
done
expect "h2: CC.EN = 0 after an incomplete shutdown" 1 "$(hostile "@h2 count undone")"
for n in 0 1; do
    told[n]=$(hostile "@h$n since late") || die "h$n was not told"
    expect "h$n: CC.EN = 0 after the shutdown" 0 "$(hostile "@h$n count undone")"
    # The driver deletes queues for a second at most, which a host with other work may let pass.
    [[ $log == *"has not deleted its I/O queues"* ]] ||
        expect "h$n: I/O queues left" 0 "$(hostile "@h$n count orphans")"
done
# One after the other would be 4 s apart.
apart=$(awk -v a="${told[0]}" -v b="${told[1]}" 'BEGIN { print a > b ? a - b : b - a }')
within "$apart" 3 || die "expected two drives to be told of the shutdown within 3 s, they were told $apart s apart"
[[ $log == *"it fails, because the system goes down"* ]] || die "expected a line about I/O that does not end: $log"
# 10 s until the I/O fails, 5 s for the shutdown of its drive; one after the other 8 s more.
within "$took" 21 || die "expected the machine to be off within 21 s, it took $took s: $log"
echo "off after $took s, two drives were told $apart s apart"
