# SPDX-License-Identifier: GPL-2.0
"""What the controller is, beyond its faults: the options that `set` changes."""

VECTORS = 9
DEFAULTS = {
    "mqes": 1023, "cqr": 1, "to": 4, "dstrd": 0, "mpsmin": 0, "css": 1, "vs": 0x20000,
    "mdts": 5, "ns": 1, "queues": VECTORS - 1, "dbbuf": 0, "sgls": 0, "aerl": 3,
    "shift": 9, "size": 64 << 20, "volatile": 0,
    # Ids of no real device: drivers have no quirks for them.
    "vendor": 0x1234, "device": 0x5678, "class": 0x010802,
    "model": "rnvme hostile controller", "firmware": "1.0",
    # Power states with transitions of its own. Asynchronous Event Configuration: without it all
    # warnings are reported, and again for as long as they are there.
    "apst": 0, "aec": 1,
    # MSI that never comes, and the pin, in the place of MSI-X (from power on only).
    "msi": 0,
    # What a device with a quirk cannot stand is a complaint: a look at CSTS so many ms after
    # CC.EN = 0, at any register so many ms after a function level reset; data of an admin command,
    # PRP lists that are not so aligned.
    "misread": 0, "rdydelay": 0, "flrdelay": 0, "adminalign": 4, "listalign": 8,
}


def ids(options):
    """PCI vendor, device and class."""
    return options["vendor"], options["device"], options["class"]


def cap(options):
    """CAP, made from the options."""
    get = options.get
    return (get("mqes") & 0xffff | get("cqr") << 16 | (get("to") & 0xff) << 24
            | (get("dstrd") & 15) << 32 | (get("css") & 0xff) << 37
            | (get("mpsmin") & 15) << 48 | 4 << 52)


def parse_options(words):
    """{key: value} of words `key=value`: numbers, or texts with `_` for a blank."""
    pairs = [word.split("=", 1) for word in words]
    return {key: value.replace("_", " ") if isinstance(DEFAULTS.get(key), str) else int(value, 0)
            for key, value in pairs}
