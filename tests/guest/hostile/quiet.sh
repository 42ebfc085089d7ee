# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A controller that posts a last entry to each I/O completion queue when it is disabled, and
# keeps RDY for 50 ms.  From CC.EN = 0 on the driver must ring no doorbell: the controller
# complains of one, which fails the test.
#@ machine: hostile
#@ timeout: 60
. /tests/guest/lib/recovery.sh
start_driver
put_noise $disk 8
hostile "arm ready to=0 ms=50 times=always; arm parting times=always"
start_fio $disk --rw=randread --size=8m
for round in 1 2 3 4 5; do
    reset_controller || die "round $round: expected the reset to succeed, state $(ctrl_state)"
    expect "round $round: entries at last" $round "$(hostile count parting)"
    pause 0.2
done
kill -0 "$fio_job" || die "expected the reads to go on, they ended: $(cat /tmp/background)"
kill -INT "$fio_job"
wait_gone $patience kill -0 "$fio_job"
hostile new
expect_noise $disk 8
stop_driver
