# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A parameter out of its range, as modinfo says it: the module is not loaded, and one line of the
# kernel log names the parameter and its range.
#@ timeout: 120
. /tests/guest/lib.sh
refused() { # PARAMETER VALUE LINE-OF-THE-LOG OTHER-PARAMETER...
    mark
    expect_failure insmod /rnvme.ko "$1=$2" "${@:4}"
    expect_like "insmod's reason for $1=$2" "*Invalid parameters*" "$failed_with"
    expect "lines of the log about $1=$2" 1 "$(klog_count "$3")"
    [[ ! -d /sys/module/rnvme ]] || die "the module is there, with $1=$2"
}
# The kernel itself refuses what is no number of 32 bits.
no_number() { # PARAMETER VALUE
    refused "$1" "$2" "\`$2' invalid for parameter \`$1'"
}
bad() { # PARAMETER VALUE LEAST MOST OTHER-PARAMETER...
    if (($2 < 0 || $2 > 4294967295)); then
        no_number "$1" "$2"
    else
        refused "$1" "$2" "parameter $1=$2 is out of range: it takes $3 to $4" "${@:5}"
    fi
}
seen=0
while read -r line; do
    [[ $line != quirks:*"(string)" ]] || continue
    # NAME:TEXT (LEAST to MOST UNIT, default DEFAULT) (u32)
    [[ $line =~ ^([a-z_]+):.*\ \(([0-9]+)\ to\ ([0-9]+)[^,]*,\ default\ [0-9]+\)\ \(u32\)$ ]] ||
        die "modinfo says no range: $line"
    name=${BASH_REMATCH[1]} least=${BASH_REMATCH[2]} most=${BASH_REMATCH[3]}
    # On the debug kernel one end each, in turn.
    if ! is_debug || ((seen % 2)); then
        bad "$name" $((least - 1)) "$least" "$most"
    fi
    if ! is_debug || ((seen % 2 == 0)); then
        bad "$name" $((most + 1)) "$least" "$most"
    fi
    seen=$((seen + 1))
done < <(modinfo -F parm /rnvme.ko)
expect "parameters with a range, and quirks" "$(modinfo -F parmtype /rnvme.ko | wc -l)" $((seen + 1))
((seen)) || die "modinfo names no parameter"
for value in 0 65536 4294967295; do
    bad io_queue_depth $value 2 4095
done
# Neither parameter of interrupt coalescing does anything without the other.
bad irq_coalescing_time 0 1 255 irq_coalescing_threshold=8
for value in many ""; do
    no_number io_queue_depth "$value"
done
# A text that says no quirks.
for text in nonsense 8086:5845: 1x:2:no_apst; do
    refused quirks "$text" "parameter quirks: '$text' is not VENDOR:DEVICE:NAME"
done
refused quirks 8086:5845:^no_apst,apst "parameter quirks: there is no quirk 'apst'"
refused quirks "$(printf '1:1:no_apst-%.0s' {1..50})" "invalid for parameter \`quirks'"
# Unknown ones are only told of, as for any module.
mark
load nonsense=1
expect_klog "unknown parameter 'nonsense' ignored"
unload
