# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Drives that are odd in a way that people have reported, and that Linux's driver drives: each
# has its disk, with data that is right, or the line that says why not.
#@ machine: hostile
#@ timeout: 100
. /tests/guest/lib/recovery.sh

# The controller is so from now on, and is bound.
become() { # REQUESTS
    hostile "new; $1"
    mark
    bind_again "$bdf" $disk
    may_read 10 || die "$1: expected a disk that can be read: $(klog)"
    expect_noise $disk 8
    echo "$bdf" >/sys/bus/pci/drivers/rnvme/unbind || die "$1: unbinding failed"
}

start_driver
put_noise $disk 8
echo "$bdf" >/sys/bus/pci/drivers/rnvme/unbind || die "unbinding failed"

# CSTS.RDY follows a little later than CAP.TO says.
become "set to=2; arm ready to=1 ms=1300 times=always"
# CSTS.CFS is left from before for a moment.
become "arm fatal step=enable ms=40 times=always"
# CAP.CSS states no command set, or the NVM command set only among all.
become "set css=0"
become "set css=0x40"
# SQES has no largest size.
become "arm identify cns=1 at=512:06,513:04 times=always"
# NVMe 1.4: limits of discards by CNS 06h.
become "set vs=0x10400; arm identify cns=6 at=1:01,3:08 times=always"
(($(hostile count identify 6))) || die "NVMe 1.4: expected Identify of CNS 06h"

# No capacity: no block of the namespace can be written.
hostile "new; arm identify cns=0 at=8:0000000000000000 times=always"
mark
echo "$bdf" >/sys/bus/pci/drivers/rnvme/bind || die "NCAP 0: expected bind to succeed"
expect_klog "but inactive"
[[ ! -e /sys/class/rnvme/rnvme0/$disk ]] || die "NCAP 0: expected no disk"
echo "$bdf" >/sys/bus/pci/drivers/rnvme/unbind
# Administration only.
hostile "new; set css=0x80; arm status queue=admin op=1 value=0x4001 times=always"
echo "$bdf" >/sys/bus/pci/drivers/rnvme/bind || die "CAP.CSS 0x80: expected bind to succeed"
expect "CAP.CSS 0x80: state" live "$(ctrl_state)"
echo "$bdf" >/sys/bus/pci/drivers/rnvme/unbind

# A persistent internal error after each reset: resets do not help, and I/O works.
hostile new
bind_again "$bdf" $disk
start_oracle $disk
enables=$(hostile count enables)
mark
for _ in {1..12}; do
    hostile persistent
    pause 0.3
done
wait_for 20 is_state live
resets=$(($(hostile count enables) - enables))
((resets >= 1 && resets <= 3)) || die "persistent errors: expected 1 to 3 resets, saw $resets"
expect_klog "persistent internal error reported again: no reset"
oracle_goes_on "persistent errors"

# The SMART log is refused, without DNR, and a warning comes again and again.
mark
hostile "arm status queue=admin op=2 lid=2 value=0x2 times=always"
for _ in {1..12}; do
    hostile "event 0x020101"
    pause 0.3
done
expect_klog "critical warning: temperature beyond a threshold; the SMART log cannot be read"
lines=$(klog_count rnvme)
((lines <= 6)) || die "a warning without a SMART log: expected at most 6 lines, saw $lines"
end_oracle
hostile new

# A disk's own timeout may be any number, those that the driver marks requests with included.
for ms in 3000 1990; do
    echo $ms >/sys/block/$disk/queue/io_timeout
    hostile "new; arm never queue=io op=2"
    may_read 12 || die "io_timeout $ms: expected a read that is tried again"
    (($(hostile count aborts) > 0)) || die "io_timeout $ms: expected an Abort"
done
# The controller takes one Abort at a time, and does not answer it: the log says which command has it.
hostile "new; arm identify cns=1 at=258:00 times=always"
reset_controller || die "ACL 0: expected the reset to succeed"
mark
hostile "arm never queue=io op=2 times=4; arm never queue=admin op=8"
fio_outcome --rw=randread --verify=0 --iodepth=4 --size=16k
expect "ACL 0: reads" "no error" "$outcome"
expect "ACL 0: lines of Aborts" 1 "$(klog_count "timeout, aborting")"
expect "ACL 0: lines of commands without one" 3 "$(klog_count "the controller takes no other Abort now")"
# One that hangs with many commands does not fill the log.
hostile "new"
mark
hostile "arm never queue=io op=2 times=120"
fio_outcome --rw=randread --verify=0 --numjobs=2 --iodepth=60 --size=1m
expect "many lost commands: reads" "no error" "$outcome"
lines=$(klog_count "timeout, ")
((lines > 0 && lines <= 24)) || die "many lost commands: expected at most 24 lines, saw $lines"
# One that never answers the configuration of events has its disk, and is reset for that twice.
hostile "new; arm never queue=admin op=9 fid=11 times=always"
enables=$(hostile count enables)
rebind || die "no answer to the configuration of events: expected a disk"
# shellcheck disable=SC2317,SC2329 # called by wait_for
is_let_alone() { (($(hostile count enables) == enables + 3)); }
wait_for 20 is_let_alone
pause 4
is_let_alone || die "no answer to the configuration of events: expected two resets, saw $(($(hostile count enables) - enables - 1))"
wait_for 5 is_state live
expect_noise $disk 8
stop_driver
