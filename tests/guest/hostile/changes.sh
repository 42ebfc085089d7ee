# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What a reset, a rescan or new firmware finds otherwise than before: what the last
# Identify Controller says holds, what the controller refuses now is done without, and
# verified I/O goes on.
#@ machine: hostile
#@ timeout: 90
. /tests/guest/lib/recovery.sh

firmware() {
    local revision
    revision=$(<$ctrl/firmware_rev)
    echo "${revision%% *}"
}

# A reset must succeed, and I/O must work after it.
expect_reset() { # WHAT
    reset_controller || die "$1: the reset failed, state $(ctrl_state): $(klog | tail -n 5)"
    within "$took" "$back_bound" || die "$1: the reset took $took s"
    expect "$1: state" live "$(ctrl_state)"
    fio_outcome --number_ios=200
    expect "$1: I/O" "no error" "$outcome"
}

# The firmware is another one: FR of Identify Controller in hexadecimal digits.
firmware_is() { # HEX
    hostile "disarm identify; arm identify cns=1 at=64:$1 times=always"
}

hostile "new; set dbbuf=1"
start_driver
put_noise $disk 8
expect "firmware" 1.0 "$(firmware)"
firmware_is 322e302020202020
expect_reset "new firmware"
expect "firmware after a reset" 2.0 "$(firmware)"
firmware_is 332e302020202020
echo 1 >$ctrl/rescan_controller
expect "firmware after a rescan" 3.0 "$(firmware)"
firmware_is 342e302020202020
hostile "activate 500"
# shellcheck disable=SC2317,SC2329 # called by wait_for
activated() { [[ $(firmware) == 4.0 ]]; }
wait_for 20 activated
# Another controller answers: nothing of it is used.
enables=$(hostile count enables)
hostile "disarm identify; arm identify cns=1 at=4:58585858"
echo 1 >$ctrl/rescan_controller || true
# A reset of a controller with another serial number.
# shellcheck disable=SC2317,SC2329 # called by wait_for
is_reset() { (($(hostile count enables) > enables)); }
wait_for 20 is_reset
wait_for 20 is_state live
expect "firmware of the right controller" 1.0 "$(firmware)"

# Another model with the same serial number is the same controller on another host, and texts of
# blanks tell nothing. Identify is asked for by the reset, and by the scan after it.
start_oracle $disk
mark
hostile "arm identify cns=1 at=24:4f74686572206d6f64656c$(printf '20%.0s' {1..29}) times=always"
reset_controller || die "another model: the reset failed, state $(ctrl_state)"
oracle_goes_on "another model"
expect_like "model" "Other model*" "$(<$ctrl/model)"
expect_klog "the serial number is the same"
hostile "disarm identify; arm identify cns=1 at=4:$(printf '20%.0s' {1..20}),24:$(printf '00%.0s' {1..40}) times=always"
reset_controller || die "texts of blanks: the reset failed, state $(ctrl_state)"
oracle_goes_on "texts of blanks"
end_oracle
expect_like "model after blanks" "Other model*" "$(<$ctrl/model)"
hostile "disarm identify"
expect_reset "the model of before"

# Shadow doorbells are refused, then offered again, then not offered at all.
mark
hostile "arm status queue=admin op=0x7c value=0x4001 times=always"
expect_reset "Doorbell Buffer Config refused"
expect_klog "no shadow doorbells this time"
doorbells=$(hostile count doorbells)
fio_outcome --number_ios=200
(($(hostile count doorbells) - doorbells >= 100)) || die "expected doorbell registers for I/O without shadows"
hostile "disarm status"
expect_reset "Doorbell Buffer Config taken again"
hostile "set dbbuf=0"
expect_reset "no Doorbell Buffer Config"

# Every feature is refused, and so is the number of queues.
mark
hostile "arm status queue=admin op=9 value=0x4002 times=always"
expect_reset "Set Features refused"
hostile "disarm status"
expect_reset "Set Features taken again"

# A volatile write cache that is new: the disks send no flush yet, so it is switched off.
hostile "arm identify cns=1 at=525:00 times=always"
expect_reset "no cache"
expect_caching() { [[ $(</sys/block/$disk/queue/write_cache) == "$1" ]]; }
wait_for 5 expect_caching "write through"
hostile "disarm identify; arm status queue=admin op=9 value=0x4002 times=always"
mark
expect_reset "a cache that cannot be switched off"
expect_klog "switching it off"
# The disks flush it from the scan after the reset on.
wait_for 5 expect_caching "write back"
hostile "disarm status"
before=$(hostile count io 0)
dd if=/tmp/noise of=/dev/$disk bs=1M seek=8 count=1 conv=fsync status=none || die "writing failed"
(($(hostile count io 0) > before)) || die "expected a flush for fsync"
expect_noise $disk 8

# Transfers are smaller from now on, as after a move to another host.
hostile "set mdts=3"
expect_reset "a smaller MDTS"
smaller() { [[ $(</sys/block/$disk/queue/max_hw_sectors_kb) == 32 ]]; }
wait_for 5 smaller
verify $disk --bsrange=4k-1m --size=4m --offset=32m --iodepth=16
hostile "set mdts=5"
expect_reset "MDTS as before"

# A data structure that the controller refuses is not asked for at each scan, with Do Not Retry or
# without: each time is an entry in the drive's error log.
hostile "arm status queue=admin op=6 cns=6 value=0x2002 times=always"
expect_reset "CNS 06h refused"
rescan() { echo 1 >$ctrl/rescan_controller; }
rescan
asked=$(hostile count identify 6)
rescan
rescan
expect "Identify of CNS 06h in two scans" 0 $(($(hostile count identify 6) - asked))
hostile "disarm status"

# The next firmware needs more time to become ready than the first stated, and says so (CAP.TO).
hostile "set to=40; arm ready to=1 ms=5000 times=always"
expect_reset "a longer CAP.TO"
hostile new
stop_driver
