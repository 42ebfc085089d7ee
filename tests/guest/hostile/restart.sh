# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A restart begins with what the registers say: a register that reads as all ones for a
# moment, a device that is away for a moment and comes back as it was, a function reset of
# which the controller comes back enabled, a controller that is not ready when it must stop.
# The hostile controller complains of bus mastering while old queues may be live, of an old
# CSTS.RDY, of a CC made from all ones, and of CC.EN = 0 too early.
#@ machine: hostile
#@ timeout: 120
#@ waits: stock
. /tests/guest/lib/recovery.sh
start_driver
put_noise $disk 8

# Write a byte of config space.
put_config() { # OFFSET BYTE
    # shellcheck disable=SC2059 # the byte is a format
    printf "$2" | dd of="/sys/bus/pci/devices/$bdf/config" bs=1 seek="$1" conv=notrunc status=none
}

# The controller must be live, with its data.
expect_live() { # WHAT
    wait_for $dead_bound is_state live
    expect_noise $disk 8
    expect "$1: complaints" 0 "$(hostile count complaints)"
}

# All ones for a moment, in the watchdog's eyes and in those of the reset.
for what in "reg=csts times=2" "reg=csts times=5" "reg=cc times=2"; do
    hostile "new; arm read $what"
    reset_controller || die "$what: expected the reset to succeed"
    expect_live "all ones: $what"
done

# A function reset after which CC.EN is 1: what firmware or another kernel leaves.
for what in rdy=1 rdy=0; do
    hostile "new; arm left $what"
    echo 1 >"/sys/bus/pci/devices/$bdf/reset" || die "the function level reset failed"
    expect "left: the fault was taken" 1 "$(hostile count left)"
    expect_live "left enabled, $what"
done

# The link is down for a moment, and the device comes back as it was: no I/O fails, and none ends
# before the device has stopped. That is once within a second, and some times in a row.
start_oracle $disk
for ms in 300 1100 1100; do
    hostile "new; arm hide step=io ms=$ms after=50"
    hostile "await hide 1 10"
    pause 1.5
    wait_for $back_bound is_state live
    oracle_goes_on "the link is down for $ms ms"
    expect "the link is down for $ms ms: complaints" 0 "$(hostile count complaints)"
done
end_oracle
expect_noise $disk 8

# The device is away for long and comes back with its bus mastering and its queues.
hostile "new; arm hide step=io ms=5000"
! dd if=/dev/$disk of=/dev/null bs=4k count=1 iflag=direct status=none 2>/dev/null ||
    die "away: expected the read to fail"
is_state dead || die "away: expected the state dead"
hostile "await hide 1 5"
pause 5
reset_controller || die "away: expected the reset to succeed"
expect_live "away for a moment"

# The host answers for the ids of a device that is away, and for nothing else.
mark
hostile "new; gone ids=1"
start=$EPOCHREALTIME
! dd if=/dev/$disk of=/dev/null bs=4k count=1 iflag=direct status=none 2>/dev/null ||
    die "ids alone: expected the read to fail"
is_state dead || die "ids alone: expected the state dead"
within "$(seconds_since "$start")" 4 || die "ids alone: the read took $(seconds_since "$start") s"
start=$EPOCHREALTIME
echo "$bdf" >/sys/bus/pci/drivers/$driver/unbind
within "$(seconds_since "$start")" 3 || die "ids alone: unbind took $(seconds_since "$start") s"
expect "resets of a function that is not there" 0 "$(klog_count "PCI function")"
hostile "new; back"
rebind || die "ids alone: expected the bind to succeed"
expect_live "ids alone"

# The device loses its config space again, a while after a function reset has ended.
lost=(20 130 180 250)
! is_debug || lost=(20 180)
start_oracle $disk
for ms in "${lost[@]}"; do
    hostile "new; arm fatal step=enable; arm lost ms=$ms"
    reset_controller || die "lost $ms ms after a function reset: expected the reset to succeed"
    wait_for $back_bound is_state live
    oracle_goes_on "lost $ms ms after a function reset"
done
end_oracle
expect_live "lost after a function reset"

# The user resets the function while a bring-up gets no answer: the I/O waits for that reset.
hostile "new; arm ready to=1"
start_oracle $disk
echo 1 >$ctrl/reset_controller &
pause 0.5
echo 1 >"/sys/bus/pci/devices/$bdf/reset" || die "the function level reset failed"
wait $!
oracle_goes_on "a function level reset during a bring-up that fails"
end_oracle
expect_live "a function level reset during a bring-up that fails"

# The driver leaves a controller that is not ready yet.
hostile "new; arm ready to=1 ms=1000"
echo 1 >$ctrl/reset_controller &
pause 0.3
echo "$bdf" >/sys/bus/pci/drivers/$driver/unbind
wait
expect "not ready at unbind: complaints" 0 "$(hostile count complaints)"
rebind || die "expected the bind to succeed"

# The device loses config space or its power state while it answers. The driver makes it what it
# was, and does not wait for registers that cannot answer: the controller states 30 s.
echo "$bdf" >/sys/bus/pci/drivers/$driver/unbind
hostile "new; set to=60"
rebind || die "CAP.TO of 30 s: expected the bind to succeed"
# The offsets of COMMAND and of PMCSR (D3hot).
for what in '4 \0' '148 \3'; do
    read -r offset byte <<<"$what"
    hostile "new; set to=60"
    start_oracle $disk
    put_config "$offset" "$byte"
    hostile "await enables 1 12"
    wait_for $back_bound is_state live
    oracle_goes_on "config space, offset $offset"
    end_oracle
    expect_live "config space, offset $offset"
done

# What the user has changed stays when config space is restored: a size of requests (DEVCTL).
hostile new
put_config 73 X
reset_controller || die "a changed DEVCTL: expected the reset to succeed"
enables=$(hostile count enables)
put_config 73 '('
put_config 4 '\0'
hostile "await enables $((enables + 1)) 12"
wait_for $back_bound is_state live
expect "DEVCTL after config space was lost" X \
    "$(dd if="/sys/bus/pci/devices/$bdf/config" bs=1 skip=73 count=1 status=none)"
expect_live "a changed DEVCTL"

# Firmware left the controller enabled, and ready or not, before the driver is bound.
for what in rdy=1 rdy=0; do
    echo "$bdf" >/sys/bus/pci/drivers/$driver/unbind
    hostile "new; leave $what"
    rebind || die "left by firmware, $what: expected the bind to succeed"
    expect_live "left by firmware, $what"
done
hostile new
stop_driver
