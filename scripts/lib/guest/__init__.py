# SPDX-License-Identifier: GPL-2.0
"""The guest: its initramfs, its QEMU, and the runner of the guest tests."""
