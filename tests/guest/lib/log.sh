# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The kernel log.

# Mark a place in the kernel log: klog prints the lines after the last mark. What is before it is not
# read again: late in a boot the debug kernel needs seconds for all of its log.
mark() {
    dmesg -c >/dev/null
    klog_mark="rnvme-test: mark $$.$RANDOM$RANDOM"
    echo "$klog_mark" >/dev/kmsg
}

klog() {
    read_klog
    ((${#klog_lines[@]} == 0)) || printf '%s\n' "${klog_lines[@]}"
}

# The same in $klog_lines, and the line of the mark in $klog_begin. dmesg is the only program that
# starts, into a file: the shell reads a pipe byte by byte, which takes seconds on the debug kernel.
read_klog() {
    local dumped at
    dmesg >/tmp/klog.$$
    mapfile -t dumped </tmp/klog.$$
    for ((at = ${#dumped[@]}; at > 0; at--)); do
        [[ ${dumped[at - 1]} != *"$klog_mark"* ]] || break
    done
    klog_lines=("${dumped[@]:at}")
    klog_begin=${dumped[at > 0 ? at - 1 : 0]}
}

# The log since the boot, as far as the kernel has it, each line as /dev/kmsg has it.
whole_log() {
    dd if=/dev/kmsg iflag=nonblock bs=8k status=none 2>/dev/null
    return 0
}

# The seconds from the last mark to the first line after it that contains this text, by the kernel's
# clock: what a test needs to look at the log does not count. Fails without such a line.
klog_seconds() { # TEXT
    local line hundredths since=""
    read_klog
    for line in "$klog_begin" "${klog_lines[@]}"; do
        [[ $line =~ ^\[\ *([0-9]+)\.([0-9]{2}) ]] || continue
        hundredths=$((10#${BASH_REMATCH[1]}${BASH_REMATCH[2]}))
        since=${since:-$hundredths}
        [[ $line == *"$1"* ]] || continue
        printf '%d.%02d\n' $(((hundredths - since) / 100)) $(((hundredths - since) % 100))
        return
    done
    return 1
}

# How many lines of the kernel log after the last mark contain this text.
klog_count() { # TEXT
    local line count=0
    read_klog
    for line in "${klog_lines[@]}"; do
        [[ $line != *"$1"* ]] || count=$((count + 1))
    done
    echo $count
}

# The kernel log must contain this text after the last mark.
expect_klog() { # TEXT
    (($(klog_count "$1"))) || die "expected '$1' in the kernel log, saw: $(klog)"
}
