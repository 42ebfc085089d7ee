# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Mixed block sizes from 512 bytes to 1 MiB, random and in sequence, at queue depths 1 to
# 64: commands with PRP1 alone, with PRP2 and with a PRP list at the same time, and
# requests that the block layer splits.
#@ timeout: 90
. /tests/guest/lib.sh
load_disk
for depth in 1 16 64; do
    for rw in randwrite write; do
        verify rnvme0n1 --rw=$rw --bsrange=512-1m --blockalign=512 --size=32m \
            --offset=${depth}m --iodepth=$depth
    done
done
# The smallest and the largest alone.
verify rnvme0n1 --bs=512 --size=512k --iodepth=16
verify rnvme0n1 --bs=1m --size=32m --iodepth=4
unload
