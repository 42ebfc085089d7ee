# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A controller that loses its volatile write cache with its power: data that was written
# with FUA or flushed survives. A reset of the controller loses no data.  (The test first
# shows that the cache is really lost.)
#@ machine: hostile
#@ timeout: 60
. /tests/guest/lib/recovery.sh
hostile "set volatile=1"
start_driver

# The power goes; $lost is the number of sectors lost with it.
power() {
    hostile gone
    lost=$(hostile lose-cache)
    echo "$lost sectors are lost"
}

# Data that was not flushed must be lost, else the rest would test nothing.
put_noise $disk 40
power
((lost >= 2048)) || die "expected the 2048 sectors in the volatile cache lost, saw $lost"
hostile back
repair || die "expected a disk after repair, saw none that can be read"

# Flushed data.
put_noise $disk 40
dd if=/dev/zero of=/dev/$disk bs=4k seek=15000 count=1 oflag=direct conv=notrunc,fsync status=none
# Writes with FUA, acknowledged while others are under way.
start_noting $disk --sync=dsync
power
end_noting
hostile back
repair || die "expected a disk after repair, saw none that can be read"
expect_noise $disk 40
expect_noted $disk "the power went"
row "power lost under O_DSYNC writes" "acknowledged writes are there" 0 "$afterwards"

# A reset keeps the power: no acknowledged write may be lost.
start_noting $disk
hostile "arm stop step=io until=reset"
pause 4
end_noting
expect_noted $disk "reset"
row "reset under writes" "acknowledged writes are there" 0 nothing
stop_driver
