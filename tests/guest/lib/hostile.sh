# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The hostile controller.

# Send requests to the hostile controller (docs/TESTING.md lists them); they must succeed.
hostile() { # REQUEST
    local answer
    answer=$(host hostile "$*") || die "hostile: $answer"
    [[ -z $answer ]] || echo "$answer"
}

# Bind after the requests of each line of a table "OUTCOME|REQUEST; REQUEST ...", then
# unbind; each must end within so many seconds. OUTCOME is "disk" for a disk that can be
# read, "none" for no disk, "any" for either. "stock OUTCOME" is for the stock kernel only.
bind_table() { # SECONDS
    local outcome requests what
    while IFS='|' read -r outcome requests; do
        # On the debug kernel each bind takes 2 s.
        if [[ $outcome == "stock "* ]] && is_debug; then
            continue
        fi
        outcome=${outcome#stock }
        hostile "new; back; $requests"
        what=none
        if try_bind "$1" "$requests"; then
            # A bind may succeed without a disk. If there is one, it exists when bind returns.
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
