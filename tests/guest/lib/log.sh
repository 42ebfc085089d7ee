# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The kernel log.

# The kernel log from the last `mark` on.
mark() {
    klog_mark="rnvme-test: mark $$.$RANDOM$RANDOM"
    echo "$klog_mark" >/dev/kmsg
}

klog() {
    dmesg | sed "1,/$klog_mark/d"
}

# How many lines of the kernel log from the last `mark` on have this text.
klog_count() { # TEXT
    klog | grep -c -F -e "$1" || true
}

# The log must have this text, since the last `mark`.
expect_klog() { # TEXT
    (($(klog_count "$1"))) || die "the kernel log lacks '$1'; it has: $(klog)"
}
