# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The kernel log.

# Mark a place in the kernel log: klog prints the lines after the last mark.
mark() {
    klog_mark="rnvme-test: mark $$.$RANDOM$RANDOM"
    echo "$klog_mark" >/dev/kmsg
}

klog() {
    read_klog
    ((${#klog_lines[@]} == 0)) || printf '%s\n' "${klog_lines[@]}"
}

# The same in $klog_lines. dmesg is the only program that starts, into a file: the shell reads a pipe
# byte by byte, which takes seconds on the debug kernel.
read_klog() {
    local dumped at
    dmesg >/tmp/klog.$$
    mapfile -t dumped </tmp/klog.$$
    for ((at = ${#dumped[@]}; at > 0; at--)); do
        [[ ${dumped[at - 1]} != *"$klog_mark"* ]] || break
    done
    klog_lines=("${dumped[@]:at}")
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
