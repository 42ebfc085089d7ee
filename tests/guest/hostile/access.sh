# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The controller vanishes, or sets CSTS.CFS, at one register access after the other of a
# bind and of a reset: each ends within the bound, and the disk comes back.
#@ machine: hostile
#@ timeout: 120
#@ waits: stock
. /tests/guest/lib/recovery.sh
start_driver
put_noise $disk 8
# The distance from one tested access to the next: testing all takes minutes.
step=16
! is_debug || step=24
step=$(soak_rounds step $step)
longest=0

# Bind, or reset, with the fault after so many accesses; returns whether it was taken.
at_access() { # bind|reset FAULT AFTER
    local start
    [[ $1 == reset ]] || echo "$bdf" >/sys/bus/pci/drivers/$driver/unbind
    hostile "new; arm $2 step=access after=$3"
    start=$EPOCHREALTIME
    if [[ $1 == reset ]]; then
        reset_controller
    else
        rebind
    fi
    took=$(seconds_since "$start")
    within "$took" $dead_bound || must die "$1, $2 after $3 accesses: expected an end within $dead_bound s, it took $took s"
    ((10#${took/./} <= longest)) || longest=$((10#${took/./}))
    local met
    met=$(hostile count "$2")
    hostile calm
    repair || die "$1, $2 after $3 accesses: expected a disk after repair, saw none; state $(ctrl_state)"
    ((met))
}

for what in bind reset; do
    for fault in gone fatal; do
        after=0
        while at_access $what $fault $after; do
            after=$((after + step))
            ((after < 400)) || die "expected $what to end before 400 accesses"
        done
        ((after >= 8)) || must die "$what, $fault: expected at least 8 accesses, saw $after"
        expect_noise $disk 8
        row "$what: $fault at each access of $after" "disk back" "$((longest / 10)).$((longest % 10))" "$afterwards"
        longest=0
    done
done
hostile new
stop_driver
