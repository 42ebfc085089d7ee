# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The I/O interfaces that programs use, one and two jobs at a time.
#@ timeout: 90
. /tests/guest/lib.sh
load_disk
for engine in io_uring libaio psync; do
    for jobs in 1 2; do
        depth=16
        [[ $engine != psync ]] || depth=1
        verify rnvme0n1 --ioengine=$engine --bsrange=512-256k --blockalign=512 --size=8m \
            --iodepth=$depth --numjobs=$jobs --offset_increment=64m
    done
done
# Registered buffers, and one system call for many requests.
verify rnvme0n1 --fixedbufs --registerfiles --bsrange=4k-128k --size=8m --iodepth=16 \
    --iodepth_batch_submit=8
unload
