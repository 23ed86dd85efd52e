"""Who the events come from, found out from outside as the module would say it from inside.

- Entity id: configured, else answered by Asterisk (`Getvar ENTITYID`, `core show settings`), else `entityid` of
  asterisk.conf, else the last one known, else computed as Asterisk computes it (main/netsock.c). What Asterisk once
  answered stands before a computed one: it is taken when Asterisk starts, and interfaces change later.
- Files and interfaces of this host are asked only where Asterisk runs on this host.
"""

from __future__ import annotations

import ctypes
import fcntl
import ipaddress
import re
import socket
import struct
from pathlib import Path
from typing import NamedTuple

from asterisk_connector.ami.handshake import Answers
from asterisk_connector.relay.encode import Identity

NO_ENTITY = "00:00:00:00:00:00"
_ASTERISK_CONF = Path("/etc/asterisk/asterisk.conf")
_GROUPS = re.compile(r"\s*([0-9a-fA-F]{1,2}):([0-9a-fA-F]{1,2}):([0-9a-fA-F]{1,2})" + r":([0-9a-fA-F]{1,2})" * 3)
_SIOCGIFCONF = 0x8912
_SIOCGIFHWADDR = 0x8927
_IFREQ = 40


class Facts(NamedTuple):
    """What one place knows; empty where it does not know."""

    entity_id: str = ""
    system_name: str | None = None


_NOTHING = Facts()


def identify(
    answers: Answers,
    *,
    configured: Facts = _NOTHING,
    local: Facts = _NOTHING,
    known: Identity | None = None,
    computed: str = "",
    hostname: str = "",
) -> Identity:
    """The identity in force. `known` is the last one used; `computed` the id of this host's interfaces."""
    before = known or Identity("", "", "", "")
    names = (configured.system_name or None, answers.system_name, local.system_name, before.system_name)
    return Identity(
        entity_id=configured.entity_id
        or answers.entity_id
        or local.entity_id
        or before.entity_id
        or computed
        or NO_ENTITY,
        system_name=next((name for name in names if name is not None), ""),
        asterisk_version=answers.version or before.asterisk_version or "unknown",
        hostname=hostname or "unknown",
    )


def is_this_host(host: str) -> bool:
    """Whether a manager address is the loopback, so that Asterisk's files and interfaces are ours."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() in ("localhost", "ip6-localhost", socket.gethostname().lower())


def read_asterisk_conf(path: Path = _ASTERISK_CONF) -> Facts:
    """`entityid`, `systemname` and `autosystemname` of `[options]`; nothing where the file cannot be read."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return Facts()
    options: dict[str, str] = {}
    section = ""
    for line in text.splitlines():
        stripped = line.split(";", 1)[0].strip()
        if stripped.startswith("["):
            section = stripped.strip("[]() !").lower()
        elif section == "options" and "=" in stripped:
            name, value = stripped.split("=", 1)
            options[name.strip().lower()] = value.removeprefix(">").strip()
    automatic = options.get("autosystemname", "").lower() in ("yes", "true", "1", "on", "y", "t")
    system_name = socket.gethostname() if automatic else options.get("systemname")
    return Facts(entity_id(options.get("entityid", "")), system_name)


def entity_id(text: str) -> str:
    """Six groups of hexadecimal digits as Asterisk prints them, `aa:bb:cc:dd:ee:ff`; empty for anything else."""
    match = _GROUPS.match(text)
    return ":".join(f"{int(group, 16):02x}" for group in match.groups()) if match else ""


def computed_entity_id() -> str:
    """The hardware address of the first interface that has an IPv4 address and a hardware address; empty without one.

    Asterisk's own way (SIOCGIFCONF, then SIOCGIFHWADDR, in the kernel's order); compared on six layouts.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        interfaces = ctypes.create_string_buffer(_IFREQ * 128)
        request = struct.pack("iP", len(interfaces), ctypes.addressof(interfaces))
        try:
            (filled,) = struct.unpack_from("i", fcntl.ioctl(probe, _SIOCGIFCONF, request))
        except OSError:
            return ""
        for start in range(0, filled, _IFREQ):
            name = interfaces.raw[start : start + 16]
            try:
                found = fcntl.ioctl(probe, _SIOCGIFHWADDR, name + bytes(_IFREQ - 16))
            except OSError:
                continue
            hardware = found[18:24]
            if hardware not in (b"\0" * 6, b"\xff" * 6):
                return hardware.hex(":")
    return ""
