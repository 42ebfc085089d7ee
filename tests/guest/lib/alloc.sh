# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Failing allocations (fault injection).

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
