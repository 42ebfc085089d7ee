# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A controller with extreme capabilities, with registers that lie, that becomes ready too
# late or never, or that fails or vanishes at a step of its start or stop. Bind and
# unbind end in bounded time, with a disk that works or without a disk.
#@ machine: hostile
#@ timeout: 150
#@ waits: stock
#@ allow-hostile: CC.MPS is less than CAP.MPSMIN
. /tests/guest/lib.sh
load_unbound io_timeout=2 admin_timeout=2 io_queue_depth=64
bind_table 15 <<'TABLE'
stock none|set mqes=0
disk|set mqes=1
disk|set mqes=65535
stock disk|set to=0
disk|set to=255
stock disk|set dstrd=1
disk|set dstrd=15
none|set mpsmin=1
stock none|set mpsmin=15
disk|set css=0
stock disk|set vs=0
stock disk|set vs=0xffffffff
none|arm read reg=cap times=always
stock any|arm read reg=cap value=0 times=always
stock any|arm read reg=vs times=always
none|arm read reg=csts times=always
stock any|arm read reg=csts value=0 times=always; set to=1
any|arm read reg=csts value=1 times=always; set to=1
disk|arm ready to=1 ms=300
disk|arm ready to=1; set to=1
none|arm ready to=1 times=always; set to=1
disk|arm ready to=0 ms=300
stock disk|arm fatal step=enable
none|arm fatal step=ready times=always
any|arm fatal step=admin after=4
stock any|arm fatal step=admin op=0x01
stock any|arm fatal step=shutdown
any|arm fatal step=disable
stock none|arm gone step=enable
none|arm gone step=ready
any|arm gone step=admin after=2
stock any|arm gone step=shutdown
any|arm gone step=disable
disk|arm never queue=shutdown
disk|
TABLE
unload

# With the default timeouts, a minute for an admin command: the driver looks at CSTS and
# at the completion queue long before.
load_unbound io_queue_depth=64
bind_table 15 <<'TABLE'
disk|arm fatal step=admin op=0x06
none|arm fatal step=admin op=0x06 times=always
none|arm gone step=admin op=0x06
disk|arm nointr queue=admin times=10
TABLE

# A controller that does not stop gets its function reset at unbind, so that its memory can be freed.
hostile "set to=1; arm ready to=0"
try_bind 15 "does not stop" || die "expected bind to succeed"
mark
try_unbind 15 "does not stop"
expect "does not stop: lines about memory that is kept" 0 "$(klog_count "queue memory is kept")"
expect_klog "controller does not stop: resetting the PCI function"
try_bind 15 "has stopped" || die "expected bind to succeed after a function level reset"
unload
