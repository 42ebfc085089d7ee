# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The kernel log.

# Mark a place in the kernel log: klog prints the lines after the last mark.
mark() {
    klog_mark="rnvme-test: mark $$.$RANDOM$RANDOM"
    echo "$klog_mark" >/dev/kmsg
}

klog() {
    dmesg | sed "1,/$klog_mark/d"
}

# How many lines of the kernel log after the last mark contain this text.
klog_count() { # TEXT
    klog | grep -c -F -e "$1" || true
}

# The kernel log must contain this text after the last mark.
expect_klog() { # TEXT
    (($(klog_count "$1"))) || die "expected '$1' in the kernel log, saw: $(klog)"
}
