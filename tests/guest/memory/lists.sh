# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The memory of PRP lists: 128 large requests at a time never wait for a list; a small list
# takes an eighth of a page; what was taken for a load goes back when the load is over; without
# any memory each queue still makes progress, and requests that wait are submitted again when
# a list comes back.
#@ timeout: 200
#@ waits: stock
#@ machine: bookless
. /tests/guest/lib.sh
events() { grep -c "$1" $trace/trace; }
reads() { # FIO-OPTION...
    fio --name=large --filename=/dev/rnvme0n1 --direct=1 --ioengine=io_uring --rw=randread \
        --size=200m "$@" >/tmp/fio.log 2>&1 || die "fio: $(cat /tmp/fio.log)"
}

count_events block/block_rq_requeue dma/dma_alloc dma/dma_free
load_disk
bdf=$(pci_of rnvme0)
queues=$(find /sys/block/rnvme0n1/mq -mindepth 1 -maxdepth 1 | wc -l)
idle=$(coherent)
echo "coherent memory when idle: $idle bytes, $queues queues"
# Rings of 64 and 16 KiB and a reserve of 5 pages at most a queue; the admin queue has 4 pages.
((idle <= queues * ((80 + 20) << 10) + (64 << 10))) ||
    die "expected at most rings and a reserve for each queue, saw $idle bytes"

reads --bs=256k --iodepth=128 --iodepth_batch_submit=128 --iodepth_batch_complete_min=128 \
    --number_ios=1024
expect "requests of 256 KiB that waited for a list" 0 "$(events block_rq_requeue:)"
small=$(($(coherent) - idle))
echo "for 128 requests of 256 KiB: $small bytes more"
((small > 0 || idle == 0)) || die "expected lists for 128 requests, saw none"
# Twice what 128 lists of 512 bytes take, for each CPU that may have submitted them; nvme's
# driver takes 512 KiB.
((small <= (128 << 10) * queues)) || die "expected at most 1 KiB a request, saw $small bytes for 128"
reads --bs=1m --iodepth=32 --iodepth_batch_submit=32 --iodepth_batch_complete_min=32 --number_ios=128
expect "requests of 1 MiB that waited for a list" 0 "$(events block_rq_requeue:)"
gone() { (($(coherent) <= idle)); }
wait_for 60 gone
verify rnvme0n1 --bsrange=512-1m --blockalign=512 --size=16m --iodepth=32

# No memory at all.
if [[ -d /sys/kernel/debug/fail_page_alloc ]]; then
    unload
    load_disk
    fail_ours
    budget=1000000
    for kind in failslab fail_page_alloc; do
        echo 1 >/sys/kernel/debug/$kind/interval
        echo $budget >/sys/kernel/debug/$kind/times
        echo 100 >/sys/kernel/debug/$kind/probability
    done
    verify rnvme0n1 --bsrange=256k-1m --blockalign=4k --size=32m --iodepth=32
    reads --bs=256k --iodepth=64 --number_ios=256
    blkdiscard -o 64M -l 1M /dev/rnvme0n1 || die "blkdiscard failed without memory"
    left=$(</sys/kernel/debug/failslab/times)
    ((left < budget)) || die "expected allocations that fail, saw none"
    echo "$((budget - left)) allocations failed"
    fail_none
    verify rnvme0n1 --bs=256k --size=32m --iodepth=32
fi
unload
expect "coherent memory that is left after unloading" 0 "$(($(coherent) > 0))"
