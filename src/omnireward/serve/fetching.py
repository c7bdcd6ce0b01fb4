"""Media by URL, for the hosts that whoever runs the server has named. Off where none is named.

A URL makes the server a messenger: it may reach what its sender may not. So a host is one that was named, letter by
letter, with its port; every address that its name leads to is checked, and the connection goes to a checked address,
not to the name again, which may lead elsewhere by then. A redirect is a URL like any other. Proxies of the environment
are not used: nobody could say where those connect to.
"""

from __future__ import annotations

import http.client
import io
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urljoin, urlsplit

from omnireward import __version__
from omnireward.errors import RecipeError
from omnireward.serve.asking import RequestError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_PORTS = {"http": 80, "https": 443}
_MOST_REDIRECTS = 3
_LATER = 503
_PIECE = 1 << 18  # bytes
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_PRIVATE_TOO = (ipaddress.IPv6Network("64:ff9b:1::/48"), ipaddress.IPv6Network("fec0::/10"))  # public, says Python


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Fetches URLs.

    Attributes:
        hosts: ``name`` or ``name:port``, in lower case; without a port, the usual one of http and of https.
        networks: addresses that are taken although they are not public, such as those of a cluster.
        most_bytes: of one medium.
        seconds: that one medium may take, redirects included.
    """

    hosts: frozenset[str]
    networks: tuple[Network, ...]
    most_bytes: int
    seconds: float

    @classmethod
    def of(cls, hosts: Sequence[str], networks: Sequence[str], most_bytes: int, seconds: float) -> Fetcher | None:
        """None where no host is named.

        Raises:
            RecipeError: a host that is none, or a network that is none.
        """
        for host in hosts:
            if not _is_host(host):
                raise RecipeError(f"{host!r} is no host to fetch media from; write NAME or NAME:PORT.")
        try:
            known = tuple(ipaddress.ip_network(network) for network in networks)
        except ValueError as error:
            raise RecipeError(f"not a network: {error}. Write one such as 10.0.0.0/8.") from error
        return cls(frozenset(host.lower() for host in hosts), known, most_bytes, seconds) if hosts else None

    def __call__(self, url: str, field: str, until: float, hold: Callable[[int], None]) -> bytes:
        """The bytes at a URL.

        Args:
            url: http or https.
            field: of the request, for messages.
            until: a time of `time.monotonic` after which nobody needs them.
            hold: told of bytes before they are read, where their host says how many there are, or while they come.

        Raises:
            RequestError: 422 where the URL is not fetched, 503 where it may work later; and what `hold` raises.
        """
        until = min(until, time.monotonic() + self.seconds)
        for _ in range(_MOST_REDIRECTS + 1):
            parsed, addresses = self._checked(url, field)
            answer = self._asked(parsed, addresses[0], field, until, hold)
            if isinstance(answer, bytes):
                return answer
            url = urljoin(url, answer.to)
        raise RequestError(f"more than {_MOST_REDIRECTS} redirects.", field=field)

    def _checked(self, url: str, field: str) -> tuple[SplitResult, list[str]]:
        try:
            parsed = urlsplit(url)
            name = _name(parsed, parsed.scheme)
        except ValueError as error:  # a port that is no number
            raise RequestError(f"not a URL ({error}).", field=field) from error
        plain = url.isascii() and url.isprintable() and " " not in url and "\\" not in url
        if not plain or parsed.scheme not in _PORTS or not parsed.hostname or "@" in parsed.netloc:
            raise RequestError("a URL to fetch is plain http or https, ASCII, without a user.", field=field)
        if name not in self.hosts:
            raise RequestError("this server does not fetch from that host.", field=field)
        try:
            found = socket.getaddrinfo(parsed.hostname, parsed.port or _PORTS[parsed.scheme], type=socket.SOCK_STREAM)
        except OSError as error:
            raise RequestError("the host's address is not known.", field=field, status=_LATER) from error
        addresses = [str(one[4][0]) for one in found]
        for address in addresses:
            if not self.may_reach(address):
                raise RequestError("this server does not fetch from that host's address.", field=field)
        return parsed, addresses

    def may_reach(self, address: str) -> bool:
        """Whether an address is public, or of a network that was named. An address inside another counts, too."""
        for one in _inside(ipaddress.ip_address(address)):
            named = any(one in network for network in self.networks)
            public = one.is_global and not (one.is_multicast or one.is_reserved)
            public = public and not any(one in network for network in _PRIVATE_TOO)
            if not (named or public):
                return False
        return True

    def _asked(
        self, url: SplitResult, address: str, field: str, until: float, hold: Callable[[int], None]
    ) -> bytes | _Redirect:
        left = until - time.monotonic()
        if left <= 0:
            raise RequestError("no time was left to fetch it.", field=field, status=_LATER)
        connection = _Connection(url, address, left)
        watch = threading.Timer(left, connection.abandon)  # a socket's own timeout begins anew with each byte
        watch.start()
        try:
            answer = self._answered(connection, url, field, hold)
        except (OSError, http.client.HTTPException) as error:
            kind = type(error).__name__
            raise RequestError(f"it could not be fetched ({kind}).", field=field, status=_LATER) from error
        finally:
            watch.cancel()
            connection.close()
        if time.monotonic() >= until:  # what was abandoned may look like the end of what came
            raise RequestError("its host took too long.", field=field, status=_LATER)
        return answer

    def _answered(
        self, connection: _Connection, url: SplitResult, field: str, hold: Callable[[int], None]
    ) -> bytes | _Redirect:
        headers = {"Accept-Encoding": "identity", "User-Agent": f"omnireward/{__version__}"}
        path = url._replace(scheme="", netloc="", fragment="").geturl() or "/"
        connection.request("GET", path, headers=headers)
        with connection.getresponse() as reply:
            if reply.status in (301, 302, 303, 307, 308):
                return _Redirect(reply.getheader("Location", ""))
            if reply.status != 200:
                later = reply.status in (408, 429) or reply.status >= 500
                raise RequestError(f"its host answered {reply.status}.", field=field, status=_LATER if later else 422)
            if reply.getheader("Content-Encoding", "identity").lower() != "identity":
                raise RequestError("its host sends it compressed, though it was asked not to.", field=field)
            data = self._read(reply, field, hold)
            if not data:
                raise RequestError("there are no bytes.", field=field)
            return data

    def _read(self, reply: http.client.HTTPResponse, field: str, hold: Callable[[int], None]) -> bytes:
        too_large = RequestError(f"it is larger than {self.most_bytes:,} bytes.", field=field, status=413)
        if reply.length:
            if reply.length > self.most_bytes:
                raise too_large
            hold(reply.length)
            return reply.read()  # all of it, or IncompleteRead
        data = io.BytesIO()
        while piece := reply.read(_PIECE):
            hold(len(piece))
            data.write(piece)
            if data.tell() > self.most_bytes:
                raise too_large
        return data.getvalue()


@dataclass(frozen=True, slots=True)
class _Redirect:
    to: str


class _Connection(http.client.HTTPConnection):
    """A connection to an address, for a name."""

    def __init__(self, url: SplitResult, address: str, seconds: float) -> None:
        self._secure = url.scheme == "https"
        super().__init__(url.hostname or "", url.port or _PORTS[url.scheme], timeout=seconds)
        self._address = address
        self._used: socket.socket | None = None  # `sock` is forgotten as soon as a reply without a length begins

    def connect(self) -> None:
        self.sock = self._used = socket.create_connection((self._address, self.port), self.timeout)
        if self._secure:
            context = ssl.create_default_context()
            self.sock = self._used = context.wrap_socket(self.sock, server_hostname=self.host)

    def abandon(self) -> None:
        """Whoever waits for it stops waiting; any thread may say so."""
        if self._used is not None:
            try:
                self._used.shutdown(socket.SHUT_RDWR)
            except OSError:  # closed already
                return


def _name(url: SplitResult, scheme: str) -> str:
    """A host as it is named in a list: with its port, unless that is the usual one.

    >>> _name(urlsplit("http://Example.org:80/x"), "http"), _name(urlsplit("http://[::1]:8000"), "http")
    ('example.org', '[::1]:8000')
    """
    host = url.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return host if url.port in (None, _PORTS.get(scheme)) else f"{host}:{url.port}"


def _is_host(text: str) -> bool:
    """Whether a host is written as it will be looked for."""
    url = urlsplit(f"//{text}")
    try:
        return bool(url.hostname) and text.lower() in (_name(url, "http"), _name(url, "https"))
    except ValueError:  # a port that is no number
        return False


def _inside(address: Address) -> list[Address]:
    """An address, and the one that it leads to where it wraps one."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address in _NAT64:
        return [ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)]
    if address.ipv4_mapped:
        return [address.ipv4_mapped]
    inner = [address.sixtofour, *(address.teredo or ())]
    return [address, *(one for one in inner if one is not None)]
