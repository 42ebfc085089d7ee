# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# For the guest tests: `. /tests/guest/lib.sh`.

set -u

# shellcheck source=tests/guest/lib/verdict.sh
. /tests/guest/lib/verdict.sh
# shellcheck source=tests/guest/lib/host.sh
. /tests/guest/lib/host.sh
# shellcheck source=tests/guest/lib/log.sh
. /tests/guest/lib/log.sh
# shellcheck source=tests/guest/lib/driver.sh
. /tests/guest/lib/driver.sh
# shellcheck source=tests/guest/lib/fio.sh
. /tests/guest/lib/fio.sh
# shellcheck source=tests/guest/lib/hostile.sh
. /tests/guest/lib/hostile.sh
# shellcheck source=tests/guest/lib/alloc.sh
. /tests/guest/lib/alloc.sh
