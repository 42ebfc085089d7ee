# SPDX-License-Identifier: GPL-2.0
"""What the runner of guest tests finds wrong, and that a guest that is gone is a verdict."""

import subprocess
import sys
import unittest
from unittest import mock

from scripts.lib.guest import machine, suite


class BadLog(unittest.TestCase):
    """Lines of the kernel log that no test may cause."""

    def test_checks_that_switch_themselves_off_are_bad(self):
        for line in ("DMA-API: debugging out of memory - disabling",
                     "DMA-API: debugging out of memory error - disabled",
                     "DMA-API: cacheline tracking ENOMEM, dma-debug disabled",
                     "kmemleak: Kernel memory leak detector disabled",
                     "kmemleak: Cannot allocate a kmemleak_object structure",
                     "kmemleak: Cannot insert 0xffff888003a9f000 into the object search tree"):
            self.assertRegex(line, suite.BAD_LOG)

    def test_what_each_boot_says_is_not(self):
        for line in ("DMA-API: preallocated 65536 debug entries",
                     "DMA-API: debugging enabled by kernel config",
                     "DMA-API: debugging disabled on kernel command line",
                     "kmemleak: Kernel memory leak detector initialized (mem pool available: 39465)",
                     "kmemleak: Automatic memory scanning thread ended"):
            self.assertNotRegex(line, suite.BAD_LOG)


class Gone(machine.Guest):
    """A guest whose QEMU is a process that ends by itself, or hangs."""

    def __init__(self, code):  # pylint: disable=super-init-not-called
        self.qemu = subprocess.Popen([sys.executable, "-c", code])
        self.hostile, self.traced, self.kept = [], {"pci_nvme_*"}, {}
        self.port, self.spent, self.foreign = object(), 0.0, True
        self.errors, self.dir = "/dev/null", "/nonexistent"
        self.qmp_socket = None


class Verdict(unittest.TestCase):
    """QEMU has ended between two tests."""

    def test_the_next_test_fails_and_the_run_goes_on(self):
        guest = Gone("")
        result = suite.run_file(guest, "/tests/guest/none.sh", 1)
        self.assertEqual(result.status, -1)
        self.assertIn("the guest ended", result.reason)
        self.assertFalse(guest.quit())

    def test_a_qemu_that_does_not_end_is_a_guest_that_died(self):
        guest = Gone("import time; time.sleep(60)")
        with mock.patch.object(machine, "END_PATIENCE", 0.1), self.assertRaises(machine.GuestDied):
            guest._await_end()  # pylint: disable=protected-access
        guest.kill()
