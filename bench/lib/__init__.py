# SPDX-License-Identifier: GPL-2.0
"""What an I/O costs: counting instructions in the guest, and attributing them."""
