"""Where the service is and how to talk to it: arguments, then the environment, then defaults."""

from __future__ import annotations

import functools
import os
import ssl
from typing import Any
from urllib.parse import urlsplit

import httpx

from gblend_client._version import __version__
from gblend_client.errors import InvalidInput

DEFAULT_URL = "http://127.0.0.1:8000"
STREAM_TIMEOUT = 45.0
"""Seconds without a byte after which a stream is dead: the service pings every 15."""
_CONNECT_TIMEOUT = 10.0
_NO_PROXY = ("all://127.0.0.1", "all://localhost", "all://[::1]")


def base_url(given: str | None) -> str:
    """The service's address, without user, query or fragment."""
    url = given or os.environ.get("GBLEND_URL") or DEFAULT_URL
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        httpx.URL(url)
    except (ValueError, httpx.InvalidURL):
        usable = False
    if not usable:
        raise InvalidInput(f"{url!r} is no address of a service", hint=f"it looks like {DEFAULT_URL}")
    if parts.username is not None or parts.query or parts.fragment:
        raise InvalidInput("the address may hold no user, query or fragment", hint="a key goes into GBLEND_API_KEY")
    return url.rstrip("/")


def client_arguments(url: str | None, api_key: str | None, timeout: float) -> dict[str, Any]:
    """What `httpx.Client` and `httpx.AsyncClient` are built with."""
    headers = {"user-agent": f"gblend-client/{__version__}", "accept": "application/json"}
    key = api_key if api_key is not None else os.environ.get("GBLEND_API_KEY")
    if key:
        if not key.isascii() or not key.isprintable() or " " in key:
            raise InvalidInput("the API key holds characters that no key has", hint="was it copied whole?")
        headers["authorization"] = f"Bearer {key}"
    return {
        "base_url": base_url(url),
        "headers": headers,
        "timeout": httpx.Timeout(timeout, connect=min(timeout, _CONNECT_TIMEOUT)),
        "verify": _tls(),
        "follow_redirects": False,  # the contract has none, and a key must not travel to where one points
        "mounts": dict.fromkeys(_NO_PROXY),  # a proxy of the environment knows nothing of this machine's loopback
    }


@functools.cache
def _tls() -> ssl.SSLContext:
    """One for all clients: reading the certificate authorities takes tens of milliseconds."""
    return httpx.create_ssl_context()
