# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A parameter out of its range keeps the module from loading; one line of the kernel log
# names the parameter and its range.
. /tests/guest/lib.sh
bad() { # PARAMETER=VALUE RANGE
    mark
    expect_failure insmod /rnvme.ko "$1"
    expect_like "insmod's reason for $1" "*Invalid parameters*" "$failed_with"
    expect "lines of the log about $1: $(klog)" 1 "$(klog_count "parameter $1 is out of range: it takes $2")"
    [[ ! -d /sys/module/rnvme ]] || die "expected no module with $1, saw it loaded"
}
for value in 0 1 4096 65536 4294967295; do
    bad "io_queue_depth=$value" "2 to 4095"
done
bad io_queues=70000 "0 to 65535"
bad write_queues=65536 "0 to 65535"
bad poll_queues=65536 "0 to 65535"
bad sgl_threshold=8388609 "0 to 8388608"
bad use_cmb_sqes=2 "0 to 1"
bad io_timeout=0 "1 to 86400"
bad io_timeout=86401 "1 to 86400"
bad admin_timeout=0 "1 to 86400"
bad use_threaded_interrupts=2 "0 to 1"
bad irq_coalescing_time=256 "0 to 255"
bad irq_coalescing_threshold=257 "0 to 256"
bad admin_timeout=4294967295 "1 to 86400"
bad max_retries=256 "0 to 255"
# The kernel refuses a value that is no number of 32 bits.
for value in -1 4294967296 many ""; do
    mark
    expect_failure insmod /rnvme.ko "io_queue_depth=$value"
    expect_klog "io_queue_depth"
done
# The kernel ignores an unknown parameter, with a line in the log.
mark
load nonsense=1
expect_klog "unknown parameter 'nonsense' ignored"
unload
