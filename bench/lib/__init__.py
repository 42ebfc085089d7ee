# SPDX-License-Identifier: GPL-2.0
"""What an I/O costs: counting instructions in the guest, and telling where they went."""
