# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Each allocation of a reset fails once, in any task: the first, the second and so on, until
# a reset has fewer allocations. The reset succeeds, or it fails and the next one succeeds;
# the data is unchanged and nothing leaks.
#@ kernels: debug
#@ timeout: 100
#@ allow-log: Call Trace
#@ allow-log: WARNING: fs/proc/generic.c
. /tests/guest/lib/recovery.sh
load_disk
put_noise rnvme0n1 8
fail_ours

# Let one allocation of a kind fail after so many bytes (failslab) or pages.
arm() { # KIND AFTER
    local knobs=/sys/kernel/debug/$1
    echo 0 >"$knobs/interval"
    echo "$2" >"$knobs/space"
    echo 1 >"$knobs/times"
    echo 100 >"$knobs/probability"
}

total=0 lost=0
for kind in failslab fail_page_alloc; do
    knobs=/sys/kernel/debug/$kind
    resets=0
    # The bytes, or pages, that succeed before one allocation fails.
    for ((space = 0; space < 1 << 24; space += 1 + space / 7)); do
        arm $kind "$space"
        status=0
        echo 1 2>/dev/null >"$ctrl/reset_controller" || status=1
        left=$(<"$knobs/times")
        echo 0 >"$knobs/probability"
        ((left != 1)) || break
        resets=$((resets + 1))
        if ((status)); then
            lost=$((lost + 1))
            # The controller is live or dead: one more reset must suffice.
            if ! reset_controller; then
                die "$kind after $space: expected the reset after a failed one to succeed, state $(ctrl_state)"
            fi
        fi
        is_state live || die "$kind after $space: expected state live, saw $(ctrl_state)"
        repaired || die "$kind after $space: expected the disk to be readable"
    done
    ((space < 1 << 24)) || die "expected a reset that allocates less than 16 Mi bytes or pages"
    echo "$kind: $resets allocations failed"
    total=$((total + resets))
done
# No minimum: a reset without allocations is fine.
echo "$total failing allocations, $lost of them needed by their reset"
expect_noise rnvme0n1 8
verify rnvme0n1 --bs=4k --size=512k --iodepth=16 --offset=16m
fail_none
unload
