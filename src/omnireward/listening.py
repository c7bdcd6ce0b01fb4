"""Where a server listens: whether only this machine reaches it, its port, and its address in words."""

from __future__ import annotations

import ipaddress
import socket

from omnireward.errors import RecipeError


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a host. A name other than localhost may lead anywhere.

    >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "::", "example.org", "")]
    [True, True, True, False, False, False, False]
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def address(host: str, port: int) -> str:
    """Of a server that listens there.

    >>> address("::1", 8000)
    'http://[::1]:8000'
    """
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def bound(host: str, port: int) -> socket.socket:
    """The port, taken. Raises RecipeError: it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Only where the protocol is named does asyncio send what is small at once; else a reply waits some 40 ms.
    taken = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((host, port))
    except OSError as error:
        taken.close()
        raise RecipeError(f"cannot listen on {host}, port {port}: {error.strerror}.") from error
    return taken
