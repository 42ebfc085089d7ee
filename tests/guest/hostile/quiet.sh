# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A controller that has a last entry for each completion queue as it is disabled, and takes
# its time for that (RDY stays for 50 ms): from CC.EN = 0 on it hears no doorbell.  It
# complains of one, which fails the test.
#@ machine: hostile
#@ timeout: 60
. /tests/guest/lib/recovery.sh
start_driver
put_noise $disk 8
hostile "arm ready to=0 ms=50 times=always; arm parting times=always"
start_fio $disk --rw=randread --size=8m
for round in 1 2 3 4 5; do
    reset_controller || die "round $round: the reset failed, $(ctrl_state)"
    expect "round $round: entries at last" $round "$(hostile count parting)"
    pause 0.2
done
kill -0 "$fio_job" || die "the reads ended: $(cat /tmp/background)"
kill -INT "$fio_job"
wait_gone $patience kill -0 "$fio_job"
hostile new
expect_noise $disk 8
stop_driver
