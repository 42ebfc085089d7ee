# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Each allocation of a reset fails once, in whatever task it is made, the first, the
# second and so on, until one reset has none left to fail: the reset works, or it
# fails and the next one works; data is there, nothing leaks.
#@ kernels: debug
#@ timeout: 100
#@ allow-log: Call Trace
#@ allow-log: WARNING: fs/proc/generic.c
. /tests/guest/lib/recovery.sh
load_disk
put_noise rnvme0n1 8
fail_ours

# One allocation of this kind fails, after so many bytes (or pages).
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
    # Bytes of objects, or pages, that are had before one is refused.
    for ((space = 0; space < 1 << 24; space += 1 + space / 12)); do
        arm $kind "$space"
        status=0
        echo 1 2>/dev/null >"$ctrl/reset_controller" || status=1
        left=$(<"$knobs/times")
        echo 0 >"$knobs/probability"
        ((left != 1)) || break
        resets=$((resets + 1))
        if ((status)); then
            lost=$((lost + 1))
            # It is as it was, or dead: another reset is all that is needed.
            if ! reset_controller; then
                die "$kind after $space: a reset that lacked memory cannot be made good: $(ctrl_state)"
            fi
        fi
        is_state live || die "$kind after $space: $(ctrl_state)"
        repaired || die "$kind after $space: the disk cannot be read"
    done
    ((space < 1 << 24)) || die "the resets allocate without end"
    echo "$kind: $resets allocations failed"
    total=$((total + resets))
done
# A driver that allocates nothing in a reset has none to fail.
echo "$total failing allocations, $lost of them needed by their reset"
expect_noise rnvme0n1 8
verify rnvme0n1 --bs=4k --size=512k --iodepth=16 --offset=16m
fail_none
unload
