# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The machine suspends and resumes, as far as the kernel's own test goes (pm_test:
# devices suspended, then the platform prepared as well), to idle and to memory. I/O goes
# on afterwards without an error, also of a writer that never stopped, and the data is
# unchanged.
#@ timeout: 120
#@ allow-log: WARNING: .*rtc
. /tests/guest/lib/recovery.sh
[[ -e /sys/power/pm_test ]] || skip "this kernel cannot test sleep"
start_driver
put_noise $disk 100
rounds=$(soak_rounds sleeps 1)

# Suspend and resume once; $took is the seconds.
sleep_once() { # LEVEL STATE
    local start=$EPOCHREALTIME
    echo "$1" >/sys/power/pm_test || die "the kernel refuses pm_test $1"
    echo "$2" >/sys/power/state || die "$1, $2: expected the machine to suspend: $(klog)"
    took=$(seconds_since "$start")
}

mark
for level in devices platform; do
    for how in freeze mem; do
        grep -q $how /sys/power/state || continue
        # For mem ACPI keeps pages that kmemleak reports.
        [[ $how == freeze || ! -e /sys/kernel/debug/kmemleak ]] || continue
        for ((round = 1; round <= rounds; round++)); do
            # Under I/O, then without.
            start_oracle $disk
            sleep_once $level $how
            oracle_goes_on "$level, $how"
            end_oracle
            sleep_once $level $how
            must expect "$level, $how: state" live "$(ctrl_state)"
            expect_noise $disk 100
            verify $disk --bs=4k --size=512k --iodepth=16 --offset=16m
        done
        # pm_test waits 5 s before it resumes.
        row "$how ($level) under I/O" "no error" "$took" nothing
    done
done
echo none >/sys/power/pm_test
stop_driver
