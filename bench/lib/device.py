# SPDX-License-Identifier: GPL-2.0
"""`make bench DEVICE=`: the timed part on a drive of this machine, with bench/device.sh."""

import os
import signal
import subprocess
import sys
import tempfile

from scripts.lib.guest import initramfs

from . import report
from .bench import keep, new_results
from .parts import timing
from .output import BenchError, Told


def where(bdf):
    """The drive and the machine."""
    model = "a drive"
    folder = f"/sys/bus/pci/devices/{bdf}/nvme"
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        model = initramfs.read(f"{folder}/{name}/model").strip()
    return f"Linux {os.uname().release} on this machine ({report.processors()}), drive {model}"


def run(command):
    """Run the script; returns its status. Signals to this process leave it time to clean up."""
    with subprocess.Popen(command) as script:
        # A terminal's signals reach the script as well; SIGTERM does not.
        signal.signal(signal.SIGTERM, lambda *_: script.terminate())
        while True:
            try:
                return script.wait()
            except KeyboardInterrupt:
                pass


def measure(options, top):
    """Measure, and write the report."""
    wanted = timing.QUICK if options.quick else timing.CELLS
    results = new_results(os.uname().release, where(options.device))
    results.update(quick=options.quick, pairs=options.pairs)
    with tempfile.TemporaryDirectory(prefix="rnvme-bench.") as folder:
        with open(f"{folder}/plan", "w", encoding="utf-8") as out:
            lines = timing.plan(wanted, options.pairs, options.device, timing.drive_sample)
            out.write("".join(line + "\n" for line in lines))
        status = run(["bash", f"{top}/bench/device.sh", *(["--erase"] if options.erase else []),
                      options.device, options.module, f"{folder}/plan", f"{folder}/told"])
        if status:
            raise BenchError(f"not measured (status {status})")
        outcome = Told().read(f"{folder}/told")
    results["time"] = timing.collect(outcome, wanted)
    results["probe_us"] = outcome.probes
    keep(results, top)


def main(_kernel, options, top):
    """`measure device`; errors are printed in one line."""
    if options.quick:
        options.pairs = min(options.pairs, 5)
    try:
        measure(options, top)
        return 0
    except (BenchError, OSError, ValueError) as reason:
        print(f"bench: {reason}", file=sys.stderr)
        return 1
