# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The machine sleeps and wakes, as far as the kernel's own test of that goes
# (devices suspended and resumed, then the processors stopped, too), and to idle
# until an alarm: I/O goes on afterwards, without an error, also of one that never
# stopped writing; and data is there.
#@ timeout: 120
#@ allow-log: WARNING: .*rtc
. /tests/guest/lib/recovery.sh
[[ -e /sys/power/pm_test ]] || skip "this kernel cannot test sleep"
start_driver
put_noise $disk 100
rounds=$(soak_rounds sleeps 1)

# One sleep; its seconds are in $took.
sleep_once() { # LEVEL STATE
    local start=$EPOCHREALTIME
    echo "$1" >/sys/power/pm_test || die "no pm_test $1"
    echo "$2" >/sys/power/state || die "$1, $2: the machine does not sleep: $(klog)"
    took=$(seconds_since "$start")
}

mark
for level in devices platform; do
    for how in freeze mem; do
        grep -q $how /sys/power/state || continue
        # ACPI keeps pages for the other one, which the debug kernel takes for leaked.
        [[ $how == freeze || ! -e /sys/kernel/debug/kmemleak ]] || continue
        for ((round = 1; round <= rounds; round++)); do
            # Without I/O, and under it.
            start_oracle $disk
            sleep_once $level $how
            oracle_goes_on "$level, $how"
            end_oracle
            sleep_once $level $how
            must expect "$level, $how: state" live "$(ctrl_state)"
            expect_noise $disk 100
            verify $disk --bs=4k --size=512k --iodepth=16 --offset=16m
        done
        # The test itself waits 5 s before it wakes the machine.
        row "$how ($level) under I/O" "no error" "$took" nothing
    done
done
echo none >/sys/power/pm_test
stop_driver
