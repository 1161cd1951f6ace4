"""Which addresses may be asked for a matrix: a message is untrusted, and so is every redirect that it leads to."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

from shared.keys import shown

_PORTS: Final = {"http": 80, "https": 443}
_HOST_NAME: Final = re.compile(r"(?=.{1,253}$)[a-z0-9-]+(\.[a-z0-9-]+)+")
_PRINTABLE_ASCII: Final = re.compile(r"[!-~]+")
_GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
"""All of IPv6 that is routed at large (RFC 4291, IANA's registry of its address space)."""
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""An IPv4 address as a network without IPv4 sees it (RFC 6052)."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one request goes; ``portal``: it is the configured portal, which may be on a network of one's own."""

    scheme: str
    host: str
    port: int
    target: str
    portal: bool


@dataclass(frozen=True, slots=True)
class AllowedPlaces:
    """The portal, with its scheme and port, and hosts that are asked over TLS; ``.example.org`` takes subdomains."""

    portal_url: str = ""
    hosts: tuple[str, ...] = ()

    def place(self, url: str) -> Place:
        """Where ``url`` leads; ValueError says why it is not gone there."""
        if not _PRINTABLE_ASCII.fullmatch(url):
            raise ValueError("an address is printable ASCII, the rest of it percent-encoded")
        parts = urlsplit(url)
        scheme, host, port = _origin(parts)
        portal = bool(self.portal_url) and (scheme, host, port) == _origin(urlsplit(self.portal_url))
        if not portal:
            self._check(scheme, host, port)
        return Place(scheme, host, port, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), portal)

    def _check(self, scheme: str, host: str, port: int) -> None:
        if scheme != "https" or port != _PORTS["https"]:
            raise ValueError(f"{shown(f'{scheme}://{host}:{port}')} is not asked: only https on port 443 is")
        if _is_literal(host) or not _HOST_NAME.fullmatch(host):
            raise ValueError(f"{shown(host)} is not asked: only hosts by their names are")
        if not any(_covers(pattern, host) for pattern in self.hosts):
            raise ValueError(f"{shown(host)} is no allowed host; if it is to be trusted, add it to DPSS_ALLOWED_HOSTS")


def is_public(address: str) -> bool:
    """Whether a numeric address is one of the Internet at large: not loopback, link-local, private or for groups."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is None and ip not in _NAT64:
            return ip in _GLOBAL_UNICAST and ip.is_global
        ip = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.is_global and not ip.is_multicast


def _origin(parts: SplitResult) -> tuple[str, str, int]:
    if "@" in parts.netloc:
        raise ValueError("an address with a user name or a password in it is not asked")
    port = _PORTS.get(parts.scheme, 0) if parts.port is None else parts.port
    return parts.scheme, parts.hostname or "", port


def _covers(pattern: str, host: str) -> bool:
    return host.endswith(pattern) if pattern.startswith(".") else host == pattern


def _is_literal(host: str) -> bool:
    """Whether a resolver may read ``host`` as a number (WHATWG URL, "ends in a number")."""
    last = host.rpartition(".")[2]
    return ":" in host or last.isdigit() or last.startswith("0x")
