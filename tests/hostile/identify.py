# SPDX-License-Identifier: GPL-2.0
"""The data of Identify and Get Log Page.  NVMe Base 2.0, 5.17.2 and 5.16."""

import hashlib
import struct

PAGE = 4096


def put(page, offset, form, *values):
    """Store a field."""
    struct.pack_into(form, page, offset, *values)


def text(page, offset, length, value):
    """Store an ASCII field, padded with blanks."""
    page[offset:offset + length] = value.encode().ljust(length)[:length]


def unique(name, nsid, length):
    """Bytes that are unique to a name and an NSID."""
    return hashlib.sha256(f"{name}.{nsid}".encode()).digest()[:length]


def controller(name, options):
    """CNS 01h: Identify Controller."""
    page = bytearray(PAGE)
    put(page, 0, "<HH", options["vendor"], options["vendor"])
    text(page, 4, 20, name)
    text(page, 24, 40, options["model"])
    text(page, 64, 8, options["firmware"])
    page[77] = options["mdts"]
    put(page, 78, "<H", 1)
    put(page, 80, "<I", options["vs"])
    # Optional events: namespace attributes, firmware activation.
    put(page, 92, "<I", 1 << 8 | 1 << 9)
    page[111] = 1
    put(page, 256, "<H", 1 << 8 if options["dbbuf"] else 0)
    page[258], page[259], page[260] = 3, options["aerl"], 3
    # Firmware is activated within 5 s.
    put(page, 270, "<H", 50)
    page[512], page[513] = 0x66, 0x44
    put(page, 516, "<I", options["ns"])
    # Dataset Management, Write Zeroes, Timestamp.
    put(page, 520, "<H", 1 << 2 | 1 << 3 | 1 << 6)
    page[525] = 1
    put(page, 536, "<I", 1 if options["sgls"] else 0)
    subnqn = f"nqn.2014-08.org.example:{name}".encode()
    page[768:768 + len(subnqn)] = subnqn
    put(page, 2048, "<H", 2500)
    if options["apst"]:
        # Three states with I/O and two without, of 1 ms and 10 ms.
        page[263], page[265] = 4, 1
        for state, latency in ((3, 500), (4, 5000)):
            put(page, 2048 + 32 * state, "<HBBII", 10, 0, 2, latency, latency)
    return page


def namespace(name, one):
    """CNS 00h of an active namespace."""
    page = bytearray(PAGE)
    put(page, 0, "<QQQ", one.blocks, one.blocks, one.blocks)
    page[104:120] = unique(name + one.identity, one.nsid, 16)
    page[120:128] = unique(name + one.identity, -one.nsid, 8)
    put(page, 128, "<HBB", 0, one.shift, 0)
    return page


def descriptors(name, nsid):
    """CNS 03h: EUI64, NGUID, the command set."""
    page = bytearray(PAGE)
    at = 0
    for kind, data in ((1, unique(name, -nsid, 8)), (2, unique(name, nsid, 16)), (4, b"\0")):
        put(page, at, "<BB", kind, len(data))
        page[at + 4:at + 4 + len(data)] = data
        at += 4 + len(data)
    return page


def active(nsids, after, how=None):
    """CNS 02h: the active namespaces after an NSID, or a list that lies."""
    if how == "endless":
        nsids = range(after + 1, after + 1025)
    elif how == "unsorted":
        nsids = sorted(nsids, reverse=True)
    elif how == "same":
        nsids = [1] * 1024
    else:
        nsids = [nsid for nsid in nsids if nsid > after]
    page = bytearray(PAGE)
    for index, nsid in zip(range(1024), nsids):
        put(page, index * 4, "<I", nsid & 0xffff_ffff)
    return page


def independent(_one):
    """CNS 08h: the namespace is ready."""
    page = bytearray(PAGE)
    page[14] = 1
    return page


def command_set():
    """CNS 05h and 06h of the NVM command set: no hints, no limits."""
    return bytearray(PAGE)


def log_page(identifier, length, changed, health):
    """A log page; None for an identifier that is not supported."""
    page = bytearray(max(length, 4096))
    if identifier == 2:
        # 300 K; available spare 100 %, threshold 10 %.
        put(page, 0, "<BHBB", health["warning"], 300, 100, 10)
    elif identifier == 3:
        page[0] = 1
        text(page, 8, 8, "1.0")
    elif identifier == 4:
        for index, nsid in enumerate(changed):
            put(page, index * 4, "<I", nsid)
    elif identifier != 1:
        return None
    return page[:length]


def mutate(page, fault):
    """Change a page as a fault says."""
    if "fill" in fault.args:
        page[:] = bytes([fault.number("fill")]) * len(page)
    for change in fault.args.get("at", "").split(","):
        if change:
            offset, data = change.split(":")
            data = bytes.fromhex(data)
            page[int(offset):int(offset) + len(data)] = data
    return page
