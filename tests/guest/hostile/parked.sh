# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# I/O that comes while a reset takes 5 s: each request is dispatched once for that and
# waits, in a scheduler, too; nothing goes round.  When the controller works again all I/O
# succeeds.  A request whose submitter has another path or can do without it
# (REQ_FAILFAST_TRANSPORT, as read-ahead has it) fails at once.  The same where the
# controller does not come back: everything fails.
#@ machine: hostile
#@ timeout: 120
. /tests/guest/lib/recovery.sh
start_driver
put_noise $disk 8
trace=/sys/kernel/tracing
mount -t tracefs trace $trace 2>/dev/null
[[ -e $trace/events/block/block_rq_requeue ]] || skip "no trace events of the block layer"

# Milliseconds.
at_once=200
! is_debug || at_once=1000

# Count the events of the block layer from here on.
trace_on() {
    echo >$trace/trace
    for event in block_getrq block_rq_issue block_rq_requeue block_rq_complete block_rq_error; do
        echo 1 >$trace/events/block/$event/enable
    done
}

traced() { # REGEX
    grep -c -E "$1" /tmp/trace
}

trace_off() {
    echo 0 >$trace/events/block/enable
    cat $trace/trace >/tmp/trace
}

# Without a scheduler the requests of a CPU go to the device in the order in which they came.
hostile "new; set to=20; arm ready to=1 ms=5000"
echo 1 >$ctrl/reset_controller &
reset_job=$!
wait_for 10 is_state resetting
trace_on
fio --name=order --filename=/dev/$disk --direct=1 --ioengine=io_uring --rw=randread --bs=4k --iodepth=32 \
    --size=16m --number_ios=32 --cpus_allowed=1 --allow_file_create=0 >/tmp/order || die "expected no I/O error: $(</tmp/order)"
wait $reset_job || die "expected the reset to succeed"
trace_off
# The sectors in the order in which requests were parked, and in that of what was sent afterwards.
awk '{ for (i = 1; i <= NF; i++) if ($i == "+") sector = $(i - 1) }
    /block_rq_requeue:/ { came = came " " sector; went = "" }
    /block_rq_issue: .* R / { went = went " " sector }
    END { print came; print went }' /tmp/trace >/tmp/sectors
{ read -r came; read -r went; } </tmp/sectors
expect "requests that were parked" 32 "$(wc -w <<<"$came")"
expect "the sectors after the reset" "$came" "$went"

for scheduler in none mq-deadline; do
    echo $scheduler >/sys/block/$disk/queue/scheduler
    hostile "new; set to=20; arm ready to=1 ms=5000"
    start_fio $disk --rw=randread --iodepth=56
    trace_on
    echo 1 >$ctrl/reset_controller &
    reset_job=$!
    wait_for 10 is_state resetting
    # A reader with read-ahead comes during the reset: its read-ahead fails, it does not.
    echo 3 >/proc/sys/vm/drop_caches
    start=$EPOCHREALTIME
    dd if=/dev/$disk of=/dev/null bs=64k count=2 skip=700 status=none || die "$scheduler: expected a read to succeed"
    took=$(seconds_since "$start")
    waited=$(hostile since ready)
    wait $reset_job || die "$scheduler: expected the reset to succeed"
    wait_for 10 is_state live
    kill -INT "$fio_job"
    wait_gone $patience kill -0 "$fio_job"
    trace_off
    grep -q 'err= 0' /tmp/background || die "expected no I/O error: $(cat /tmp/background)"
    ! within "$waited" 4 || die "$scheduler: expected the read to wait for CSTS.RDY, it ended $waited s after CC.EN"
    # fio has 56 requests, the reader one or two.
    requeued=$(traced 'block_rq_requeue:')
    ((requeued >= 40 && requeued <= 3 * 58)) ||
        die "$scheduler: expected each of 58 requests to be queued again once or twice, saw $requeued"
    (($(traced 'block_rq_error:.* RA? .*\[-'))) ||
        die "$scheduler: no read failed while the controller was down: $(grep -E '89[67]|\[-' /tmp/trace | head -20)"
    # The read-ahead has failed at once: another path would have it now.
    failed_after=$(awk '{ for (i = 1; i < NF; i++) if ($i ~ /^[0-9]+\.[0-9]+:$/) time = $i + 0 }
        /block_getrq: .* RA / { came = time }
        /block_rq_error: .* RA / { print int((time - came) * 1000); exit }' /tmp/trace)
    ((failed_after <= at_once)) || die "$scheduler: expected read-ahead to fail within $at_once ms, it took $failed_after ms"
    echo "$scheduler: $requeued times queued again, the read took $took s, its read-ahead failed after $failed_after ms"
    expect_noise $disk 8
done

# The controller does not come back: what waits fails.
hostile "new; arm ready to=1 times=always"
start_fio $disk --rw=randread --iodepth=256
echo 1 2>/dev/null >$ctrl/reset_controller && die "expected the reset to fail"
expect_fio_fails $dead_bound
hostile calm
reset_controller || die "expected the next reset to succeed"
expect_noise $disk 8
stop_driver
