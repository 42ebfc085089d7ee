# SPDX-License-Identifier: GPL-2.0
"""`make bench DEVICE=`, with a script in place of bench/device.sh."""

import contextlib
import io
import json
import os
import tempfile
import unittest
from types import SimpleNamespace

from bench.lib import device

# Handles a plan as bench/device.sh does, without a drive.
SCRIPT = """
[[ $1 == --erase ]] && shift
[[ $# == 4 && $1 == 0000:01:00.0 && $2 == MODULE ]] || exit 3
while read -r verb name rest; do
    case $verb in
    use) echo "probe $rest 4000" ;;
    timed)
        echo "sample $name"
        echo '{"jobs": [{"usr_cpu": 10, "sys_cpu": 20'
        for kind in read write trim; do
            echo ', "'$kind'": {"total_ios": 100, "iops": 1000, "runtime": 1000, "clat_ns": {"percentile":
                {"50.000000": 9000, "99.000000": 9000, "99.900000": 9000}}}'
        done
        echo '}]}'
        echo end ;;
    esac
done <"$3" >"$4"
"""


class Device(unittest.TestCase):
    """The runner's side."""

    def run_with(self, script):
        """(exit status, results or None, output) with a script."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        os.mkdir(f"{folder.name}/bench")
        with open(f"{folder.name}/bench/device.sh", "w", encoding="utf-8") as out:
            out.write(script)
        options = SimpleNamespace(device="0000:01:00.0", module="MODULE", erase=True, quick=True,
                                  pairs=10)
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            status = device.main(None, options, folder.name)
        path, results = f"{folder.name}/bench/results.json", None
        if os.path.exists(path):
            with open(path, encoding="utf-8") as source:
                results = json.load(source)
            self.assertTrue(os.path.exists(f"{folder.name}/bench/report.html"))
        return status, results, said.getvalue()

    def test_pairs_of_both_drivers_are_kept(self):
        status, results, said = self.run_with(SCRIPT)
        self.assertEqual(status, 0, said)
        self.assertEqual([entry["cell"] for entry in results["time"]], ["read-4k-qd1", "read-4k-qd32"])
        for entry in results["time"]:
            self.assertEqual(len(entry["pairs"]), 5)
            self.assertEqual(entry["pairs"][0]["nvme"]["iops"], 1000)
            # 30 % of a second for 300 I/Os (a hundred each of read, write and trim).
            self.assertEqual(entry["pairs"][0]["rnvme"]["cpu_us"], 1000)
        self.assertEqual(results["probe_us"], {"rnvme": [4000] * 3, "nvme": [4000] * 3})

    def test_a_script_that_refuses_leaves_no_results(self):
        status, results, said = self.run_with("exit 1")
        self.assertEqual((status, results), (1, None))
        self.assertIn("not measured", said)
