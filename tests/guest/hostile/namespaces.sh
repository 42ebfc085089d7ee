# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What Identify says of a namespace, at first and when it changes: write protection, rotating
# media, no volatile write cache, hints, limits of commands; a namespace that is not ready for a
# while; one with a command set that is not driven; controllers without a list of namespaces.
#@ machine: hostile
#@ timeout: 120
#@ waits: stock
. /tests/guest/lib/recovery.sh
load_unbound io_timeout=$io_timeout admin_timeout=20
queue=/sys/block/$disk/queue

# Bind after these requests and wait for the first disk.
bind_with() { # REQUESTS
    hostile "new; back; $1"
    try_bind 30 "$1" || die "$1: expected bind to succeed"
    wait_for 20 test -b /dev/$disk
}

# Rescan with these requests in force.
rescan_with() { # REQUESTS
    hostile "$1"
    echo 1 >$ctrl/rescan_controller || die "$1: writing to rescan_controller failed"
}

# The disk's queue attribute must have this value.
queue_has() { # WHAT ATTRIBUTE EXPECTED
    expect "$1: $2" "$3" "$(<"$queue/$2")"
}

read_only_is() { # 0|1
    [[ $(</sys/block/$disk/ro) == "$1" ]]
}

write_fails() {
    ! dd if=/dev/zero of=/dev/$disk bs=4k seek=4096 count=1 oflag=direct status=none 2>/dev/null
}

has_disks() { # NUMBER...
    local all=() path
    for path in "$ctrl"/rnvme0n*; do
        [[ ! -e $path/dev ]] || all+=("${path##*n}")
    done
    [[ ${all[*]} == "$*" ]]
}

# -- what a rescan sees ------------------------------------------------------------------

bind_with "set mdts=7"
sfdisk -q /dev/$disk <<'TABLE' || die "sfdisk failed"
label: dos
start=2048, size=2048
TABLE
wait_for 10 test -b /dev/${disk}p1
geometry=$(sfdisk -g /dev/$disk)
expect_like "HDIO_GETGEO" "*: 64 cylinders, 64 heads, 32 sectors/track" "$geometry"

expect "writable at first" 0 "$(</sys/block/$disk/ro)"
hostile "arm identify cns=0 at=99:01 times=always; event 0x040002"
wait_for 8 read_only_is 1
write_fails || die "expected a write to a write-protected namespace to fail"
hostile "disarm identify; event 0x040002"
wait_for 8 read_only_is 0
! write_fails || die "expected a write to succeed when the protection has ended"
# A user's own protection is kept apart from the namespace's.
blockdev --setro /dev/$disk
rescan_with "arm identify cns=8 at=8:01 times=always"
expect "protected by both" 1 "$(</sys/block/$disk/ro)"
rescan_with "disarm identify"
expect "protected by the user" 1 "$(blockdev --getro /dev/$disk)"
rescan_with ""
expect "protected by the user, after a rescan" 1 "$(blockdev --getro /dev/$disk)"
blockdev --setrw /dev/$disk
expect "not protected" 0 "$(</sys/block/$disk/ro)"

queue_has "plain media" rotational 0
queue_has "with a cache" write_cache "write back"
# Rotating media, without a volatile write cache for this namespace.
rescan_with "arm identify cns=8 at=0:30 times=always"
queue_has "NSFEAT bit 4" rotational 1
queue_has "NSFEAT bit 5" write_cache "write through"
queue_has "NSFEAT bit 5" fua 0
rescan_with "disarm identify"
queue_has "plain media again" rotational 0
queue_has "with a cache again" write_cache "write back"

# Limits of the command set (WZSL, DMRL): Identify Namespace is unchanged.
rescan_with "arm identify cns=6 at=1:01,3:04 times=always"
queue_has "WZSL" write_zeroes_max_bytes 8192
queue_has "DMRL" max_discard_segments 4
rescan_with "disarm identify; arm identify cns=6 at=8:2000000000000000 times=always"
queue_has "DMSL of 32 blocks" discard_max_bytes 16384
rescan_with "disarm identify; arm identify cns=6 at=3:02,4:10000000 times=always"
queue_has "DMRSL of 16 blocks" discard_max_bytes 8192
rescan_with "disarm identify"
queue_has "no DMRL" max_discard_segments 256
# NOWS of 512 KiB, as much as one command carries, and of 1 MiB.
rescan_with "arm identify cns=0 at=24:10,72:ff03 times=always"
queue_has "NOWS of 512 KiB" optimal_io_size 524288
queue_has "NOWS of 512 KiB" read_ahead_kb 512
rescan_with "disarm identify; arm identify cns=0 at=24:10,72:ff07 times=always"
queue_has "NOWS of 1 MiB" optimal_io_size 0
queue_has "NOWS of 1 MiB" read_ahead_kb 512
# Optional commands (ONCS) that a reset loses.
hostile "disarm identify; arm identify cns=1 at=520:4000 times=always"
reset_controller || die "expected the reset to succeed"
rescan_with ""
queue_has "ONCS" discard_max_bytes 0
queue_has "ONCS" write_zeroes_max_bytes 0
hostile "disarm identify"
reset_controller || die "expected the reset to succeed"
rescan_with ""
((10#$(<$queue/discard_max_bytes) > 0)) || die "expected discards again"
try_unbind 5 "unbind"

# -- a namespace that is not ready ---------------------------------------------------------

# Reads fail with Namespace Not Ready for a while: the partition table is read all the same.
mark
bind_with "set to=40; arm status queue=io op=2 value=0x82 times=20"
expect "reads that failed" 20 "$(hostile count status)"
# The pauses between them grow; together they take 1.4 s.
passed=$(hostile since status)
! within "$passed" 1 || die "expected pauses between 20 reads that failed, they took $passed s"
wait_for 2 test -b /dev/${disk}p1
expect_klog "rnvme0n1: not ready: Namespace Not Ready"
try_unbind 5 "unbind"
# Longer than CAP.TO, 1 s: a rescan finds the partitions later.
bind_with "set to=2; arm status queue=io op=2 value=0x82 times=always"
[[ ! -e /dev/${disk}p1 ]] || die "expected no partition of a namespace that is not ready"
rescan_with ""
[[ ! -e /dev/${disk}p1 ]] || die "expected no partition of a namespace that is still not ready"
rescan_with "disarm status"
wait_for 2 test -b /dev/${disk}p1
try_unbind 5 "unbind"
# Without a rescan the driver looks itself, rarely.
bind_with "set to=2; arm status queue=io op=2 value=0x82 times=always"
hostile "disarm status"
wait_for 20 test -b /dev/${disk}p1
# With Do Not Retry nothing is waited for.
try_unbind 5 "unbind"
bind_with "set to=255; arm status queue=io op=2 value=0x4082 times=always"
hostile "disarm status"
try_unbind 5 "unbind"
# Unbind ends the wait for a namespace that may become ready for two minutes yet.
bind_with "set to=255"
refused=$(hostile count status)
hostile "arm status queue=io op=2 value=0x82 times=always"
dd if=/dev/$disk of=/dev/null bs=4k count=1 iflag=direct status=none 2>/dev/null &
reader=$!
# shellcheck disable=SC2317,SC2329 # called by wait_for
is_waiting() { (($(hostile count status) >= refused + 3)); }
wait_for 10 is_waiting
try_unbind 5 "unbind with a read that waits for the namespace"
! wait $reader || die "expected an error of the read that waited for the namespace"
# So it does while a scan reads the partition table of a disk that is new.
bind_with "set to=255 ns=2"
hostile "ns detach 2"
wait_for 10 has_disks 1
hostile "arm status queue=io op=2 value=0x82 times=always; ns attach 2"
refused=0
wait_for 10 is_waiting
try_unbind 5 "unbind with a scan that waits for the namespace"
# The controller says so itself: in CNS 08h, and by refusing Identify Namespace.
bind_with "set to=40; arm identify cns=8 at=14:00 times=3; arm status queue=admin op=6 cns=0 value=0x82 times=3"
expect "refused" 3 "$(hostile count status)"
expect "said not to be ready" 3 "$(hostile count identify)"
wait_for 2 test -b /dev/${disk}p1
try_unbind 5 "unbind"

# Not for longer than CAP.TO: it is left out with one line, and looked at again until it is ready.
mark
hostile "new; back; set to=2; arm status queue=admin op=6 cns=0 value=0x82 times=always"
try_bind 30 "not ready" || die "expected bind to succeed"
# shellcheck disable=SC2317,SC2329 # called by wait_for
is_left_out() { (($(klog_count "namespace 1 left out: not ready"))); }
wait_for 20 is_left_out
rescan_with ""
hostile "disarm status"
wait_for 20 test -b /dev/${disk}p1
expect "lines about a namespace that is not ready" 1 "$(klog_count "namespace 1 left out")"
try_unbind 5 "unbind"

# -- which namespaces there are ------------------------------------------------------------

# A controller without CNS 08h is asked for it once, however many namespaces and scans there are.
mark
bind_with "set ns=2; arm status queue=admin op=6 cns=8 value=0x4002 times=always"
for nsid in 3 4; do
    hostile "ns attach $nsid"
    wait_for 20 test -b /dev/rnvme0n$nsid
done
expect "CNS 08h refused" 1 "$(hostile count status)"
expect "lines about CNS 08h" 1 "$(klog_count "admin command Identify (0x8) failed: Invalid Field")"
try_unbind 5 "unbind"

mark
bind_with "set ns=2; arm identify cns=3 nsid=1 at=36:02 times=always"
expect_klog "namespace 1 left out: its command set is Zoned Namespace (CSI 2)"
expect "the disk that is left" 131072 "$(</sys/block/$disk/size)"
has_disks 1 || die "expected one disk, saw $(ls -d $ctrl/rnvme0n*)"
# What was said is said again only when it has changed.
rescan_with ""
rescan_with ""
expect "lines about the command set" 1 "$(klog_count "left out: its command set is")"
rescan_with "disarm identify"
has_disks 1 2 || die "expected two disks, saw $(ls -d $ctrl/rnvme0n*)"
rescan_with "arm identify cns=3 nsid=1 at=36:02 times=always"
expect "lines about the command set" 2 "$(klog_count "left out: its command set is")"
try_unbind 5 "unbind"
# Many; the stock kernel has more in ns/many.
if is_debug; then
    bind_with "set ns=24"
    # shellcheck disable=SC2046 # words on purpose
    has_disks $(seq 24 | sort) || die "24 namespaces: expected as many disks, saw $(ls -d $ctrl/rnvme0n*)"
    may_read 10 || die "24 namespaces: expected a disk that can be read"
    try_unbind 10 "unbind with 24 disks"
fi
# NVMe 1.0 has no list of namespaces.
bind_with "set vs=0x10000 ns=3"
has_disks 1 2 3 || die "NVMe 1.0: expected three disks, saw $(ls -d $ctrl/rnvme0n*)"
rescan_with "ns detach 2 quiet"
has_disks 1 3 || die "NVMe 1.0: expected two disks, saw $(ls -d $ctrl/rnvme0n*)"
rescan_with "ns attach 2 quiet"
has_disks 1 2 3 || die "NVMe 1.0: expected three disks again, saw $(ls -d $ctrl/rnvme0n*)"
expect "lines of refused commands" 0 "$(klog_count 'admin command')"
try_unbind 5 "unbind"
# A controller that refuses the list. On the stock kernel it claims four billion namespaces.
mark
requests="set vs=0x10200 ns=3; arm status queue=admin op=6 cns=2 value=0x4002 times=always"
is_debug || requests+="; arm identify cns=1 at=516:ffffffff times=always"
bind_with "$requests"
has_disks 1 2 3 || die "no list: expected three disks, saw $(ls -d $ctrl/rnvme0n*)"
is_debug ||
    expect_klog "no list of active namespaces: looking at namespaces 1 to 1024, those up to 4294967295 are left out"
try_unbind 5 "unbind"
# So does one that does not say Do Not Retry; after a reset it is asked for the list again.
bind_with "set ns=3; arm status queue=admin op=6 cns=2 value=0x2002"
has_disks 1 2 3 || die "the list refused without DNR: expected three disks, saw $(ls -d $ctrl/rnvme0n*)"
rescan_with "ns detach 2 quiet"
has_disks 1 3 || die "the list refused without DNR: expected two disks, saw $(ls -d $ctrl/rnvme0n*)"
lists=$(hostile count identify 2)
reset_controller || die "expected the reset to succeed"
rescan_with "ns attach 2 quiet"
has_disks 1 2 3 || die "the list after a reset: expected three disks, saw $(ls -d $ctrl/rnvme0n*)"
(($(hostile count identify 2) > lists)) || die "expected the list to be asked for after a reset"
try_unbind 5 "unbind"
hostile "new; back"
unload
