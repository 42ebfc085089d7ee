# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A controller that lies in Identify, or fails admin commands: bind ends in bounded time,
# with a disk that can be read or without a disk.  (Offsets are those of the Identify data;
# numbers are little endian.)
#@ machine: hostile
#@ timeout: 100
#@ waits: stock
#@ allow-hostile: blocks .* of .* of namespace
#@ allow-hostile: a transfer of .* more than MDTS
#@ allow-hostile: an SGL, which the controller does not take
#@ allow-hostile: I/O for namespace
. /tests/guest/lib.sh
load_unbound io_timeout=2 admin_timeout=2 io_queue_depth=64
bind_table 20 <<'TABLE'
any|arm identify cns=1 fill=0xff
stock any|arm identify cns=1 fill=0
none|arm identify cns=0 fill=0xff times=always
stock none|arm identify cns=0 fill=0 times=always
none|arm identify cns=2 fill=0
stock any|arm identify cns=2 fill=0xff
stock any|arm identify cns=3 fill=0xff
stock any|arm identify cns=6 fill=0xff
disk|arm identify cns=1 at=516:ffffffff
disk|arm identify cns=1 at=128:0100
stock disk|set mdts=0
any|set mdts=255
any|arm identify cns=0 at=130:00 times=always
stock any|arm identify cns=0 at=130:08 times=always
any|arm identify cns=0 at=130:3f times=always
stock any|arm identify cns=0 at=0:0000000000000000 times=always
any|arm identify cns=0 at=0:ffffffffffffffff times=always
any|arm identify cns=1 at=536:ffffffff
disk|arm identify cns=2 list=unsorted; set ns=3
disk|arm identify cns=2 list=same times=always
any|arm identify cns=2 list=endless times=always; arm never queue=admin op=6 after=12
disk|arm result queue=admin op=9 fid=7 value=0xffffffff
stock any|arm status queue=admin op=9
stock none|arm status queue=admin op=5 value=0x4102 times=always
none|arm status queue=admin op=1 value=0x4102 times=always
disk|arm status queue=admin op=1 after=1
stock any|arm status queue=admin op=6 times=always
any|arm never queue=admin op=6
stock any|arm twice queue=admin times=always
disk|arm stray queue=admin times=always
disk|set dbbuf=1
any|set dbbuf=1; arm lie queue=io value=0xffff times=always
stock any|set dbbuf=1; arm lie queue=io value=0 times=always
stock disk|set queues=1
stock disk|set sgls=1
disk|
TABLE
unload
