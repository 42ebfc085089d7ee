# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The controller stops: at each step of its start, idle, under I/O with one and with 64
# commands in flight, in a reset, at removal; until a reset, or for good.  Everything
# ends within the bounds. When the controller works again, the disk comes back with its
# data.  (A controller that cannot be disabled keeps its queue memory, which kmemleak
# reports; such rows are for the stock kernel. The module is unloaded like any other.)
#@ machine: hostile
#@ timeout: 300
#@ waits: stock debug
. /tests/guest/lib/recovery.sh

# The actions during which the controller stops; each sets $outcome.
bind() {
    outcome="no disk"
    ! rebind || outcome=disk
}

idle() {
    hostile "${fault/arm stop/stop}"
    fio_outcome --iodepth=1 --size=16k
}

# Reads only, many at a time, so that all are in flight when the controller stops.
deep() {
    fio_outcome --rw=randread --verify=0 --iodepth=64 --size=1m --nrfiles=1
}

single() {
    fio_outcome --iodepth=1 --size=64k
}

reset() {
    outcome="no error"
    reset_controller || outcome=error
}

unbind() {
    outcome=unbound
    timeout -k 1 $patience bash -c "echo $bdf >/sys/bus/pci/drivers/$driver/unbind" || outcome=hangs
}

start_driver
put_noise $disk 8
while IFS='|' read -r expected action fault; do
    row_wanted "$expected" || continue
    expected=${expected#stock }
    [[ $action != bind ]] || echo "$bdf" >/sys/bus/pci/drivers/$driver/unbind
    hostile new
    [[ $action == idle ]] || hostile "$fault"
    echo "$action: $fault"
    start=$EPOCHREALTIME
    $action
    seconds=$(seconds_since "$start")
    # The controller's clock: the time that a slow guest needs to start fio does not count.
    [[ $action != single && $action != deep ]] || seconds=$(hostile since stop)
    state=$(ctrl_state)
    [[ $action == idle ]] || (($(hostile count stop) > 0)) || must die "$action: $fault: the fault was never taken"
    limit=$dead_bound
    [[ $fault != *until=reset* ]] || limit=$back_bound
    must expect_like "$action: $fault ($state)" "$expected" "$outcome"
    must within "$seconds" $limit || die "$action: $fault: expected an end within $limit s, it took $seconds s"
    hostile "calm"
    repair
    row "$action: $fault" "$outcome" "$seconds" "$afterwards"
    [[ $afterwards != "not to be had" ]] || die "$action: $fault: expected a disk after repair, saw none that can be read"
    must expect_noise $disk 8
done <<'TABLE'
no disk|bind|arm stop step=enable
stock no disk|bind|arm stop step=ready
stock no disk|bind|arm stop step=admin op=6
stock no disk|bind|arm stop step=admin op=9
stock no disk|bind|arm stop step=admin op=5
stock no disk|bind|arm stop step=admin op=1
stock disk|bind|arm stop step=ready until=reset
disk|bind|arm stop step=admin op=6 until=reset
stock disk|bind|arm stop step=admin op=9 until=reset
stock disk|bind|arm stop step=admin op=5 until=reset
stock disk|bind|arm stop step=admin op=1 until=reset
stock error|idle|arm stop
stock no error|idle|arm stop until=reset
stock error|single|arm stop step=io after=5
stock no error|single|arm stop step=io after=5 until=reset
error|deep|arm stop step=io after=70
no error|deep|arm stop step=io after=70 until=reset
error|reset|arm stop step=disable
error|reset|arm stop step=enable
error|reset|arm stop step=admin op=6
stock *|reset|arm stop step=admin op=6 until=reset
stock error|reset|arm stop step=admin op=5
stock unbound|unbind|arm stop step=admin op=0
unbound|unbind|arm stop step=admin op=0 until=reset
stock unbound|unbind|arm stop step=shutdown
unbound|unbind|arm stop step=shutdown until=reset
stock unbound|unbind|arm stop step=disable
TABLE
mark
stop_driver
must expect "lines about work that is left" 0 "$(klog_count 'outlives the workqueues')"
