# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A namespace that is formatted to blocks of another size: its partitions go, and the new table
# is read. With a partition open the disk is made anew; the open partition fails its I/O.
# And which namespace it is after a reset: one with another UUID is another, one whose
# identifiers read as zero is the same.
#@ machine: hostile
#@ timeout: 120
. /tests/guest/lib/recovery.sh
load_unbound io_timeout=$io_timeout admin_timeout=$io_timeout
hostile "new; back"
try_bind 10 "bind" || die "expected bind to succeed"
wait_disk || die "expected a disk, saw none"

# -- formats -------------------------------------------------------------------------------

# The table counts in blocks, so the partitions are larger with larger blocks.
sfdisk -q /dev/$disk <<'TABLE' || die "sfdisk failed"
label: dos
start=2048, size=2048
start=6144, size=2048
TABLE
wait_for 10 test -b /dev/${disk}p2

# Partition 1 must have so many sectors, and begin as far from the start.
first_is() { # SECTORS
    [[ $(</sys/block/$disk/${disk}p1/size) == "$1" && $(</sys/block/$disk/${disk}p1/start) == "$1" ]]
}

first_is 2048 || die "expected a partition of 2048 sectors at 2048"
hostile "ns format 1 12 keep"
wait_for 8 first_is 16384
expect "the block size" 4096 "$(</sys/block/$disk/queue/logical_block_size)"
hostile "ns format 1 9 keep"
wait_for 8 first_is 2048
wait_for 8 test -b /dev/${disk}p2

# A partition is open.
exec 5<"/dev/${disk}p1"
number=$(</sys/block/$disk/${disk}p1/dev)
mark
hostile "ns format 1 12 keep"
wait_for 8 first_is 16384
expect_klog "namespace 1 was formatted while partitions are open"
(($(dd bs=64k count=1 iflag=direct status=none <&5 2>/dev/null | wc -c) == 0)) ||
    die "expected an error of the partition that was open before the format"
[[ $number != "$(</sys/block/$disk/${disk}p1/dev)" ]] ||
    die "expected another device number of the partition in its place"
wait_for 8 test -b /dev/${disk}p2
may_read 5 || die "expected the disk to be readable after the format"
exec 5<&-
# A reset finds it.
hostile "ns format 1 9 keep quiet"
reset_controller || die "expected the reset to succeed"
wait_for 8 first_is 2048
sfdisk -q --delete /dev/$disk 2>/dev/null

# -- which namespace it is -----------------------------------------------------------------

# Reset with these requests in force. $line is what the log says of namespace 1.
reset_with() { # REQUESTS
    hostile "$1"
    mark
    reset_controller || die "$1: expected the reset to succeed"
    echo 1 >$ctrl/rescan_controller
    line=$(klog | grep -o 'namespace 1 .*' || true)
}

disk_number() {
    cat "$ctrl"/rnvme0n*/dev
}

# Whether the disk that was $before is not there any more, and another one is.
is_another() {
    [[ -e /sys/class/block/$disk && $before != "$(<"/sys/class/block/$disk/dev")" ]]
}

put_noise $disk 8
before=$(disk_number)
zero=000000000000000000000000000000000000000000000000
# Data that is in the page cache only is not written to the namespace in the place of another.
exec 5<>"/dev/$disk"
dd if=/dev/zero of=/dev/$disk bs=64k seek=128 count=4 conv=notrunc status=none
hostile "ns identity 1 other"
wait_for 8 is_another
exec 5>&-
expect_noise $disk 8
before=$(disk_number)
# What a scan has found before a reset does not hold after it. The scan waits for a read of the
# disk that it removes; the reset ends the read, and finds a third namespace.
mark
echo 60000 >"/sys/block/$disk/queue/io_timeout"
hostile "arm never queue=io op=2"
dd if=/dev/$disk of=/dev/null bs=4k count=1 iflag=direct status=none 2>/dev/null &
reader=$!
hostile "await never 1 20"
hostile "ns identity 1 second"
# shellcheck disable=SC2317,SC2329 # called by wait_for
is_logged() { (($(klog_count "$1") > 0)); }
wait_for 20 is_logged "replaced by another"
hostile "ns identity 1 third quiet"
reset_controller || die "expected the reset to succeed"
! wait $reader || die "expected an error of the read of a namespace that was replaced"
echo 1 >$ctrl/rescan_controller
wait_for 20 test -b /dev/$disk
# The disk of the second may have been added before the reset, which refuses it: then it is replaced, too.
most=1
(($(klog_count "has changed in the reset") == 0)) || most=2
replaced=$(klog_count 'replaced by another')
((replaced >= 1 && replaced <= most)) ||
    die "times that a disk was replaced: its data was older than the reset: expected 1 to $most, saw $replaced"
expect "failures of the scan" 0 "$(klog | grep -c -e 'scan failed' -e 'left out')"
expect_noise $disk 8
before=$(disk_number)
# Identifiers that read as zero.
reset_with "arm identify cns=0 at=104:$zero times=always; arm identify cns=3 fill=0 times=always"
expect "the disk without identifiers" "$before" "$(disk_number)"
expect_like "the log of it" "*does not report the identifiers that it had*" "$line"
expect_noise $disk 8
echo 1 >$ctrl/rescan_controller
expect "lines about the identifiers" 1 "$(klog_count 'does not report the identifiers')"
reset_with "disarm identify"
expect "the disk with its identifiers again" "$before" "$(disk_number)"
expect "the log of it" "" "$line"
# They read as zero, and the size is another. (The open disk keeps its number.)
exec 5<"/dev/$disk"
hostile "ns resize 1 65536 quiet"
reset_with "arm identify cns=0 at=104:$zero times=always; arm identify cns=3 fill=0 times=always"
[[ $before != "$(disk_number)" ]] || die "expected another disk: size and identifiers are not the same"
exec 5<&-
hostile "ns resize 1 131072 quiet"
reset_with "disarm identify"

# A namespace that has a UUID only.
uuid() { # BYTE
    echo "arm identify cns=0 at=104:$zero times=always; arm identify cns=3 at=0:03100000${1}${zero:2:30},20:00000000 times=always"
}
reset_with "$(uuid aa)"
try_unbind 5 "unbind"
hostile "new; $(uuid aa)"
try_bind 10 "bind" || die "expected bind to succeed"
wait_disk || die "expected a disk, saw none"
before=$(disk_number)
exec 5<"/dev/$disk"
reset_with "disarm identify; $(uuid aa)"
expect "the disk with the same UUID" "$before" "$(disk_number)"
reset_with "disarm identify; $(uuid bb)"
expect_like "another UUID" "*has changed in the reset*replaced by another*" "${line//$'\n'/ }"
[[ $before != "$(disk_number)" ]] || die "another UUID: expected another disk"
(($(dd bs=64k count=1 iflag=direct status=none <&5 2>/dev/null | wc -c) == 0)) ||
    die "expected an error of the disk that is not there any more"
exec 5<&-
try_unbind 5 "unbind"
hostile "new; back"
unload
