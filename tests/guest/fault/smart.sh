# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A critical warning of the SMART log under I/O: the kernel log has it, and I/O goes on.
. /tests/guest/lib/recovery.sh
start_driver
start_oracle $disk
mark
# shellcheck disable=SC2329 # called by wait_for
warned() { took=$(klog_seconds "critical warning"); }
start=$EPOCHREALTIME
qmp qom-set '{"path":"/machine/peripheral/nv0","property":"smart_critical_warning","value":4}'
must wait_for 30 warned
said=silence
! warned || said="a warning in the log"
must within "${took:-0}" 5 || die "expected a warning within 5 s, saw it after $took s"
row "SMART critical warning" "$said" "${took:-$(seconds_since "$start")}" nothing
must expect state live "$(ctrl_state)"
oracle_goes_on "a warning"
end_oracle
qmp qom-set '{"path":"/machine/peripheral/nv0","property":"smart_critical_warning","value":0}'
stop_driver
