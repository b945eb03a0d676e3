"""The client address of a request, and the host name it was sent to.

Behind a proxy that waitress does not trust (`trusted_proxy`), every client seems to have the proxy's address. So the
headers that proxies add count against a request: access by address requires an allowed address in these headers, too.
"""

import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from pyramid.request import Request

from tweeter.errors import SettingError

Networks = list[IPv4Network | IPv6Network]
Environ = Mapping[str, Any]

# Headers in which a proxy names the client, and headers that only reveal a proxy.
NAMING = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_CF_CONNECTING_IP", "HTTP_TRUE_CLIENT_IP")
TELLING = ("HTTP_VIA", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_PORT",
           "HTTP_X_FORWARDED_BY", "HTTP_X_FORWARDED_SERVER", "HTTP_X_FORWARDED_SSL")  # fmt: skip

_FOR = re.compile(r'(?:^|[;,\s])for=("[^"]*"|[^;,\s]*)', re.IGNORECASE)
_WITH_PORT = re.compile(r"\[(.*)\](?::\d+)?|([\d.]+)(?::\d+)?")
_HOST = re.compile(r"[a-z0-9_.-]+|\[[0-9a-f:.]+\]")


def parse_networks(text: str, setting: str) -> Networks:
    """Parses the networks of a setting: `127.0.0.1 10.0.0.0/8 ::1`. Raises SettingError."""
    try:
        return [ip_network(part) for part in text.replace(",", " ").split()]
    except ValueError as error:
        example = "example: 127.0.0.1 10.0.0.0/8"
        raise SettingError(f"{setting} must be addresses or networks ({example}): {error}") from None


def is_from(networks: Networks, request: Request) -> bool:
    """Whether the peer, and every client that proxies name, is in one of the networks.

    A loopback address in a proxy's header never counts: any client can send such a header.
    """
    peer = _address(request.remote_addr or "")
    named = [_address(name) for name in _named(request.environ)]
    return _within(networks, peer) and all(
        address is not None and not address.is_loopback and _within(networks, address) for address in named
    )


def client_network(request: Request) -> str:
    """The key of a limit by address: an IPv4 address, or the /64 network of an IPv6 address, which one client gets.

    It is the peer's address, because clients can send any X-Forwarded-For. Behind a proxy, waitress' `trusted_proxy`
    makes it the client's.
    """
    address = _address(request.remote_addr or "")
    if isinstance(address, IPv6Address):
        return str(ip_network((int(address), 64), strict=False).network_address)
    return str(address or "")


def may_be_proxy(address: str) -> bool:
    """Whether an address with many requests may be a proxy in front of the site instead of a visitor."""
    parsed = _address(address)
    return parsed is None or parsed.is_private


def parse_hosts(text: str) -> frozenset[str]:
    """Parses the host names of a setting: `example.org www.example.org .example.net`. Raises SettingError."""
    hosts = frozenset(text.lower().replace(",", " ").split())
    for host in hosts:
        if not _HOST.fullmatch(host):
            raise SettingError(
                f"tweeter.allowed_hosts must be host names without scheme and port (example: example.org), not {host!r}"
            )
    return hosts


def split_host(header: str) -> str:
    """The host name in a Host header, in lower case, without the port; empty if it is invalid."""
    name, colon, port = header.lower().rpartition(":")
    if not colon or port.endswith("]"):
        name, port = header.lower(), ""
    return name.removesuffix(".") if _HOST.fullmatch(name) and (not port or port.isdecimal()) else ""


def is_allowed(hosts: frozenset[str], host: str) -> bool:
    """Whether the host is allowed. `.example.org` allows example.org and all subdomains; an empty set allows any."""
    parts = host.split(".")
    return not hosts or host in hosts or any("." + ".".join(parts[n:]) in hosts for n in range(len(parts)))


def _named(environ: Environ) -> Iterator[str]:
    """The clients that proxies name; an empty name for a proxy that names none."""
    found = False
    for header in NAMING:
        if header in environ:
            found = True
            value = environ[header]
            if header == "HTTP_FORWARDED":
                yield from [name.strip('"') for name in _FOR.findall(value)] or [""]
            else:
                yield from value.split(",")
    if not found and any(header in environ for header in TELLING):
        yield ""


def _address(text: str) -> IPv4Address | IPv6Address | None:
    text = text.strip()
    if match := _WITH_PORT.fullmatch(text):
        text = match[1] or match[2] or ""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _within(networks: Networks, address: IPv4Address | IPv6Address | None) -> bool:
    return address is not None and any(address in network for network in networks)
