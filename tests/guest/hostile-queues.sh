# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A controller that takes fewer queues after a reset, none, and all of them again:
# I/O goes on with what there is, fails while there is none, and each CPU can read
# afterwards.
#@ machine: hostile
#@ timeout: 60
. /tests/guest/lib.sh
load_disk io_timeout=2 admin_timeout=2 io_queue_depth=64
put_noise rnvme0n1 8
reset() {
    echo 1 >/sys/class/rnvme/rnvme0/reset_controller || die "no reset"
}
queues() {
    find /sys/block/rnvme0n1/mq -mindepth 1 -maxdepth 1 -type d | wc -l
}
has_queues() {
    [[ $(queues) == "$1" ]]
}
read_on() { # CPU
    taskset -c "$1" timeout 10 dd if=/dev/rnvme0n1 of=/dev/null bs=4k count=16 iflag=direct status=none
}
expect "queues" 2 "$(queues)"
for count in 1 2 1 2; do
    hostile "set queues=$count"
    reset
    wait_for 10 has_queues $count
    for cpu in 0 1; do
        read_on $cpu || die "with $count queues CPU $cpu cannot read"
    done
    fio_may_fail 20 rnvme0n1
    expect "fio with $count queues" 0 "$fio_status"
done
# None can be created: the disk fails, the controller can be asked.
mark
hostile "arm status queue=admin op=5 times=always"
reset
expect_klog "no I/O queue is left"
expect_failure read_on 0
expect "state" live "$(cat /sys/class/rnvme/rnvme0/state)"
hostile calm
reset
read_on 0 || die "CPU 0 cannot read"
read_on 1 || die "CPU 1 cannot read"
expect_noise rnvme0n1 8
unload
