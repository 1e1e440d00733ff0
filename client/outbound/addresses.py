"""Which addresses may be called: public ones, and those of networks that an operator allows.

Whoever may name a URL would otherwise have this process ask servers that only it reaches, such as
the metadata of a cloud. The name is resolved here, every address is checked, and the connection is
made to the address that was checked: another answer of the name server changes nothing.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from kern.errors import InvalidInput

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_LONGEST_URL = 2_000
_PORTS = {"https": 443, "http": 80}
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# All that is given out for the Internet; what is outside may be led to IPv4 addresses within.
_UNICAST = ipaddress.ip_network("2000::/3")
# Protocols' own, where a cloud has its metadata. Older versions of Python call most of it public.
_PROTOCOLS = ipaddress.ip_network("192.0.0.0/24")


@dataclass(frozen=True)
class Target:
    """A URL that may be called, and the address to which to connect."""

    url: str
    host: str
    port: int
    address: str


class AddressRefusedError(Exception):
    """A URL leads where nothing may be sent; the message says why."""


class AddressGuard:
    """Checks URLs.

    Args:
        allowed: The networks beyond the public ones, separated by commas.
    """

    def __init__(self, allowed: str = "") -> None:
        names = (part.strip() for part in allowed.split(","))
        self._allowed: list[Network] = [ipaddress.ip_network(name) for name in names if name]

    def check_url(self, url: str) -> None:
        """Refuse what can be no address of a receiver, without asking anybody.

        Raises:
            InvalidInput: it is not; the message says why.
        """
        parts = _parts(url)
        host = parts.hostname or ""
        try:
            literal = ipaddress.ip_address(host)
        except ValueError:
            return
        try:
            self._check(literal, parts.scheme)
        except AddressRefusedError as error:
            raise InvalidInput(str(error)) from None

    async def resolve(self, url: str) -> Target:
        """Return where to connect.

        Raises:
            AddressRefusedError: the URL leads where nothing may be sent.
            OSError: the name is unknown, or the name server does not answer.
        """
        parts = _parts(url)
        host = parts.hostname or ""
        port = parts.port or _PORTS[parts.scheme]
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [ipaddress.ip_address(str(item[4][0]).partition("%")[0]) for item in found]
        return Target(url, host, port, str(self._first(addresses, parts.scheme, host)))

    def _first(self, addresses: Sequence[Address], scheme: str, host: str) -> Address:
        refusal = AddressRefusedError(f"{host} has no address.")
        for address in addresses:
            try:
                self._check(address, scheme)
            except AddressRefusedError as error:
                refusal = error
            else:
                return address
        raise refusal

    def _check(self, address: Address, scheme: str) -> None:
        if any(address in network for network in self._allowed):
            return
        if not _is_public(address):
            message = (
                f"{address} is no public address, and nothing may be sent there. Set "
                "KERN_OUTBOUND_ALLOW to its network if it is meant."
            )
            raise AddressRefusedError(message)
        if scheme != "https":
            message = f"{address} is reached through the Internet: use https:// for it."
            raise AddressRefusedError(message)


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    problem = None
    if len(url) > _LONGEST_URL or any(ord(char) <= 32 or ord(char) == 127 for char in url):  # noqa: PLR2004  blanks and control characters
        problem = "it is too long, or has blanks or control characters"
    elif parts.scheme not in _PORTS or not parts.hostname:
        problem = "use https://host/path"
    elif parts.username is not None or parts.password is not None:
        problem = "leave out the name and the password"
    elif parts.fragment:
        problem = "leave out what follows #"
    if problem is not None:
        message = f"The URL of a webhook cannot be used: {problem}."
        raise InvalidInput(message)
    return parts


def _is_public(address: Address) -> bool:
    """Whether an address is reached through the Internet, with any address that it contains."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return _is_public(inner)
        if address.teredo is not None or address not in _UNICAST:
            return False
    return address.is_global and not address.is_multicast and address not in _PROTOCOLS
