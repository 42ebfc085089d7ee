# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A controller whose volatile cache is lost when its power goes: what was written
# with FUA, or flushed, is there afterwards; a reset of the controller loses
# nothing.  (That the cache is really lost is shown, too.)
#@ machine: hostile
#@ timeout: 60
. /tests/guest/lib/recovery.sh
hostile "set volatile=1"
start_driver

# The power goes and comes back.
power() {
    hostile gone
    lost=$(hostile lose-cache)
    echo "$lost sectors are lost"
}

# What was not flushed is lost: else the rest would show nothing.
put_noise $disk 40
power
((lost >= 2048)) || die "the cache is not volatile"
hostile back
repair || die "the disk is lost"

# Flushed.
put_noise $disk 40
dd if=/dev/zero of=/dev/$disk bs=4k seek=15000 count=1 oflag=direct conv=notrunc,fsync status=none
# Acknowledged with FUA, under writes.
start_noting $disk --sync=dsync
sleep 1
power
end_noting
hostile back
repair || die "the disk is lost"
expect_noise $disk 40
expect_noted $disk "the power went"
row "power lost under O_DSYNC writes" "acknowledged writes are there" 0 "$afterwards"

# A reset loses no power: all that was acknowledged is there, whatever happens next.
start_noting $disk
sleep 0.5
hostile "arm stop step=io until=reset"
sleep 4
end_noting
expect_noted $disk "reset"
row "reset under writes" "acknowledged writes are there" 0 nothing
stop_driver
