# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Mixed sizes, written and verified on every kind of controller, two controllers at a time.
#@ machine: matrix
#@ timeout: 120
. /tests/guest/lib.sh
load
wait_for 30 test -b /dev/rnvme9n1
half() { # NUMBER...
    local number
    for number; do
        verify "rnvme${number}n1" --bsrange=4k-1m --size=8m --iodepth=16 --numjobs=2 \
            --offset_increment=16m
    done
}
half 0 1 2 3 4 &
other=$!
half 5 6 7 8 9
wait $other || die "expected no error of the other half: see above"
unload
