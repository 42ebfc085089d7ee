# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The hostile controller.

# Ask the hostile controller something that must work: see tests/hostile.
hostile() { # REQUEST
    local answer
    answer=$(host hostile "$*") || die "hostile: $answer"
    [[ -z $answer ]] || echo "$answer"
}

# Bind after each line of a table "OUTCOME|REQUEST; REQUEST ...": "disk" is a
# disk that can be read, "none" that there is none, "any" either; always within
# so many seconds, and unbound in as many. "stock OUTCOME" is for that kernel only.
bind_table() { # SECONDS
    local outcome requests what
    while IFS='|' read -r outcome requests; do
        # On the debug kernel each bind takes 2 s.
        if [[ $outcome == "stock "* && -e /sys/kernel/debug/kmemleak ]]; then
            continue
        fi
        outcome=${outcome#stock }
        hostile "new; back; $requests"
        what=none
        if try_bind "$1" "$requests"; then
            # No disk is an answer, too; one that comes is there at once.
            wait_disk && what=disk
        fi
        echo "$requests: $what"
        if [[ $what == disk ]]; then
            may_read "$1" || what="a disk that cannot be read"
        fi
        [[ $outcome == any || $outcome == "$what" ]] || die "$requests: expected $outcome, saw $what"
        try_unbind "$1" "$requests"
    done
    hostile "new; back"
}
