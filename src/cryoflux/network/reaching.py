"""How far away an address is: a hint leads to no place that is nearer to us than whoever gave it.

Whoever names an address makes us ask it. So nobody out there can make us ask what listens on this machine, or
in the network that it is in, while nodes that are there themselves can name each other.
"""

from __future__ import annotations

__all__ = ["Reach", "address_within", "is_local_name", "reach_of"]

import ipaddress
import socket
from enum import IntEnum

_WITH_IPV4 = tuple(map(ipaddress.IPv6Network, ("::/96", "::ffff:0:0:0/96", "64:ff9b::/96")))
"""whose last 32 bits are an IPv4 address that is translated to"""

_LOCAL_ENDS = frozenset({"alt", "arpa", "internal", "invalid", "local", "localhost", "onion", "test"})
"""kept for other uses than names that anybody can look up (IANA, special-use domain names)"""


class Reach(IntEnum):
    """Where an address is; what is farther away is smaller."""

    PUBLIC = 0
    NEARBY = 1
    """a private network, or a link"""
    HERE = 2
    """this machine"""


def reach_of(host: str) -> Reach:
    """Where a host is, by what the reader wrote of it: a name is out there, wherever it may lead by now.

    Args:
        host: a name, or an address.
    """
    try:
        return _reach(host)
    except ValueError:
        return Reach.HERE if host == "localhost" else Reach.PUBLIC


def is_local_name(host: str) -> bool:
    """Whether a name means something in one network alone: it has no dot, or ends as no public name does.

    Args:
        host: a name, or an address, which is none.
    """
    ends = host.lower().rpartition(".")
    return ends[2] in _LOCAL_ENDS or not ends[1]


def address_within(host: str, port: int, most: Reach) -> str:
    """An address of a host, to connect to.

    Args:
        host: a name, or an address.
        port: of it.
        most: the nearest that it may be.

    Raises:
        OSError: it has none; or one of them is nearer.
    """
    addresses = _addresses(host, port)
    if max(map(_reach, addresses)) > most:
        raise PermissionError(f"{host} is nearer to us than the node that named it")
    return addresses[0]


def _addresses(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    if not found:
        raise OSError(f"{host} has no address")
    return [str(place[0]) for *_, place in found]


def _translated(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that a gateway makes of one; none where it makes none."""
    inner = any(address in net for net in _WITH_IPV4) and int(address) > 1
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if inner else None


def _is_ours(address: str) -> bool:
    """Whether an address, public as it may be, is one of this machine: then packets to it come from it."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect((address, 9))  # sends nothing
        except OSError:  # no way leads there
            return False
        return str(asking.getsockname()[0]) == address


def _reach(address: str) -> Reach:
    found = ipaddress.ip_address(address.partition("%")[0])
    if _is_ours(address):
        return Reach.HERE
    if isinstance(found, ipaddress.IPv6Address):
        if found.is_site_local:
            return Reach.NEARBY
        found = found.ipv4_mapped or found.sixtofour or _translated(found) or found
    if found.is_loopback or found.is_unspecified:
        return Reach.HERE
    return Reach.PUBLIC if found.is_global and not found.is_multicast else Reach.NEARBY
