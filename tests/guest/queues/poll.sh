# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Poll queues complete without interrupts: io_uring with IOPOLL, verified, while
# the interrupts of the disk's queues are counted. (7.3 polls for no sync I/O.)
#@ timeout: 120
. /tests/guest/lib.sh

interrupts() {
    awk '/rnvme0q[1-9]/ { for (i = 2; i <= 3; i++) sum += $i } END { print sum + 0 }' /proc/interrupts
}

polled_fio() { # NAME ARGUMENT...
    local before after
    before=$(interrupts)
    fio --name="$1" --filename=/dev/rnvme0n1 --allow_file_create=0 --direct=1 --size=16m --output-format=terse \
        --number_ios=2000 "${@:2}" >/tmp/fio.log 2>&1 || die "fio $1: $(cat /tmp/fio.log)"
    after=$(interrupts)
    # A few come from other I/O (udev, partitions).
    ((after - before < 20)) || die "$1: expected no interrupts, saw $((after - before)) for 2000 I/Os"
}

load_disk poll_queues=2
expect "poll queues" 1 "$(cat /sys/block/rnvme0n1/queue/io_poll)"
expect "hardware queues" 4 "$(find /sys/block/rnvme0n1/mq -mindepth 1 -maxdepth 1 | wc -l)"
expect "interrupt lines" 3 "$(grep -c rnvme0q /proc/interrupts)"
polled_fio iopoll-1 --ioengine=io_uring --hipri --rw=randread --bs=4k --iodepth=1
polled_fio iopoll-32 --ioengine=io_uring --hipri --rw=randread --bs=4k --iodepth=32
fio --name=verify --filename=/dev/rnvme0n1 --allow_file_create=0 --direct=1 --size=16m --ioengine=io_uring --hipri \
    --rw=randwrite --bsrange=4k-256k --iodepth=16 --verify=crc32c --do_verify=1 --verify_fatal=1 \
    >/tmp/fio.log 2>&1 || die "fio failed to verify: $(cat /tmp/fio.log)"
# Ordinary I/O still has its interrupts.
before=$(interrupts)
dd if=/dev/rnvme0n1 of=/dev/null bs=4k count=100 iflag=direct status=none || die "dd failed"
(($(interrupts) - before >= 100)) || die "expected 100 interrupts, saw $(($(interrupts) - before))"
unload

# Separate queues for writes, for reads and for polling.
load_disk write_queues=1 poll_queues=1
host trace-on pci_nvme_io_cmd
dd if=/dev/rnvme0n1 of=/dev/null bs=4k count=50 iflag=direct status=none || die "dd failed"
dd if=/dev/zero of=/dev/rnvme0n1 bs=4k count=50 oflag=direct conv=nocreat status=none || die "dd failed"
host trace-log pci_nvme_io_cmd | awk '{ for (i = 1; i < NF; i++) if ($i == "sqid") q = $(i + 1)
    print q, $NF }' | sort | uniq -c >/tmp/queues
host trace-off pci_nvme_io_cmd
reads=$(awk '/READ/ { print $2 }' /tmp/queues | sort -u)
writes=$(awk '/WRITE/ { print $2 }' /tmp/queues | sort -u)
[[ -n $reads && -n $writes ]] || die "expected reads and writes in the trace, saw: $(cat /tmp/queues)"
for queue in $writes; do
    ! grep -qx "$queue" <<<"$reads" || die "expected no reads on write queue $queue, saw: $(cat /tmp/queues)"
done
unload
