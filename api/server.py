"""The HTTP server process: a listening socket, uvicorn, and streams that end before the server waits for them."""

from __future__ import annotations

import ipaddress
import signal
import socket
import sys
from contextlib import suppress

import uvicorn
from fastapi import FastAPI

from core.settings import Settings

GRACEFUL_SECONDS = 2
"""How long answers in progress may take once the server is told to stop; a stream would take for ever."""
_BACKLOG = 2048
_KERNEL_PATIENCE_SECONDS = 10.0
"""How much later than our own send timeout the kernel gives up: ours tells the log."""


class Server(uvicorn.Server):
    """uvicorn, except that open event streams hear of the shutdown first: it would wait for them, and they for it."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends the streams, then everything else."""
        self._app.state.services.streams.close()
        await super().shutdown(sockets)


def listen(host: str, port: int, *, drop_after_seconds: float) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises `OSError`.

    A client whose machine vanished, or that never reads, keeps its unsent bytes in the kernel for a quarter of an hour;
    TCP_USER_TIMEOUT (inherited by every accepted connection, where the system has it) gives up some time after our own
    send timeout did.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        made.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int((drop_after_seconds + _KERNEL_PATIENCE_SECONDS) * 1000)
        )
    return made


def address_of(listening: socket.socket) -> str:
    """`http://127.0.0.1:8000`: where a client on this machine finds the server."""
    host, port = listening.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = "::1" if listening.family == socket.AF_INET6 else "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine can reach `host`. A name is resolved; one that does not resolve is not."""
    try:
        found = {info[4][0] for info in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return all(ipaddress.ip_address(str(address).partition("%")[0]).is_loopback for address in found)


def build(app: FastAPI) -> Server:
    """A server for `app`, ready to `run(sockets=[...])`."""
    config = uvicorn.Config(
        app,
        log_config=None,  # `api.logs` has set them up
        access_log=False,  # `api.middleware` writes them, with request ids and without queries
        server_header=False,
        ws="none",
        lifespan="on",
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
    )
    return Server(config, app)


def serve(settings: Settings, listening: socket.socket) -> None:
    """Answer requests until SIGINT or SIGTERM."""
    from api.main import create_app  # the heaviest import of the process: after what may refuse to start

    # uvicorn raises the signal that stopped it once more when all is done: that is no failure, so exit with status 0.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with suppress(KeyboardInterrupt):
        build(create_app(settings)).run(sockets=[listening])
