# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Failing allocations (fault injection), and what coherent memory the driver has.

# Trace these events from now on. The debug kernel has none of them: what they show is checked on the
# stock kernel.
count_events() { # EVENT...
    local event
    trace=/sys/kernel/debug/tracing
    for event; do
        [[ ! -d $trace/events/$event ]] || echo 1 >"$trace/events/$event/enable"
    done
    [[ -e $trace/trace ]] || trace=/tmp
    : >>"$trace/trace"
}

# Coherent memory that the driver has for $bdf, in bytes, by its allocations since
# `count_events dma/dma_alloc dma/dma_free`.
# shellcheck disable=SC2154 # the test sets bdf
coherent() {
    awk -v device=" $bdf " 'index($0, device) && match($0, /size=[0-9]+/) {
        bytes = substr($0, RSTART + 5, RLENGTH - 5)
        if (/ dma_alloc: /) sum += bytes
        if (/ dma_free: /) sum -= bytes
    } END { print sum + 0 }' "$trace/trace"
}

# Let allocations fail from now on, as /proc/self/fail-nth or the knobs say. Only
# allocations with the module on the stack fail, and none in ACPI's interpreter: enabling
# a PCI device runs the interpreter, which uses freed objects when memory runs out.
fail_ours() {
    local acpi text size kind knobs
    # Some of its tables count as text, far beyond the functions (`_etext`).
    acpi=$(awk '$3 == "_etext" { end = $1 }
        $3 ~ /^acpi_(ds|ex|ns|ps|rs|ut)_/ && $2 ~ /[tT]/ { found[$1] }
        END { for (one in found) if (one < end) print one }' /proc/kallsyms | sort)
    text=$(($(cat /sys/module/rnvme/sections/.text)))
    size=$(awk '/^rnvme / { print $2 }' /proc/modules)
    for kind in failslab fail_page_alloc; do
        knobs=/sys/kernel/debug/$kind
        [[ -d $knobs ]] || skip "this kernel cannot make allocations fail"
        printf '0x%x' "$text" >$knobs/require-start
        printf '0x%x' $((text + size)) >$knobs/require-end
        echo "0x${acpi%%$'\n'*}" >$knobs/reject-start
        echo "0x${acpi##*$'\n'}" >$knobs/reject-end
        echo N >$knobs/ignore-gfp-wait
        echo 0 >$knobs/verbose
    done
    echo 0 >/sys/kernel/debug/fail_page_alloc/min-order
    echo N >/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem
}

# Let no allocation fail any more.
fail_none() {
    local kind
    for kind in failslab fail_page_alloc; do
        echo 0 >/sys/kernel/debug/$kind/probability
        echo Y >/sys/kernel/debug/$kind/ignore-gfp-wait
        echo 0 >/sys/kernel/debug/$kind/require-end
    done
}
