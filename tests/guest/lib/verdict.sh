# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# How a test ends: failed, skipped, or with what it expected.

# End the test as failed, or as not possible here.
die() {
    echo "$*"
    exit 1
}

skip() {
    echo "$*"
    exit 4
}

# Two things must be equal, else the test has failed: with both in the message.
expect() { # WHAT EXPECTED SEEN
    [[ $2 == "$3" ]] || die "$1: expected '$2', saw '$3'"
}

# The same with a glob pattern.
expect_like() { # WHAT PATTERN SEEN
    # shellcheck disable=SC2053 # a pattern on purpose
    [[ $3 == $2 ]] || die "$1: expected something like '$2', saw '$3'"
}

# A command must fail; what it prints is in $failed_with.
expect_failure() { # COMMAND...
    if failed_with=$("$@" 2>&1); then
        die "this should have failed: $* ($failed_with)"
    fi
}
