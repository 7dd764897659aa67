"""A TCP proxy that cuts connections after a number of bytes: a bad network between the client and the real API."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Proxy:
    """Forwards to one address, which may change; where nobody listens there, the client is hung up on.

    Each connection takes the next of `budgets`: the bytes of answers that it lets through.
    """

    def __init__(self, url: str) -> None:
        self.point_to(url)
        self.budgets: list[int] = []
        self.passed: list[int] = []
        """Bytes of answers that went through, by connection."""
        self.url = ""

    def point_to(self, url: str) -> None:
        """Where connections that come from now on go."""
        host, port = url.removeprefix("http://").split(":")
        self._target = (host, int(port))

    def serve(self, client: socket.socket) -> None:
        """One connection."""
        number = len(self.passed)
        self.passed.append(0)
        budget = self.budgets.pop(0) if self.budgets else None
        with client, suppress(ConnectionRefusedError), socket.create_connection(self._target) as server:
            upstream = threading.Thread(target=self._forward, args=(client, server, None, None), daemon=True)
            upstream.start()
            self._forward(server, client, budget, number)
            for end in (client, server):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            upstream.join(10)

    def _forward(self, source: socket.socket, sink: socket.socket, budget: int | None, number: int | None) -> None:
        with suppress(OSError):
            while budget is None or budget > 0:
                chunk = source.recv(65536 if budget is None else min(budget, 65536))
                if not chunk:
                    return
                sink.sendall(chunk)
                budget = None if budget is None else budget - len(chunk)
                if number is not None:
                    self.passed[number] += len(chunk)


@contextmanager
def proxy_to(url: str) -> Iterator[Proxy]:
    """A proxy in front of a server on loopback."""
    proxy = Proxy(url)
    listening = socket.create_server(("127.0.0.1", 0))
    proxy.url = f"http://127.0.0.1:{listening.getsockname()[1]}"

    def accept() -> None:
        with suppress(OSError):  # closing the socket is how it is told to stop
            while True:
                client, _ = listening.accept()
                threading.Thread(target=proxy.serve, args=(client,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)  # wakes `accept`; closing alone does not
        listening.close()
        thread.join(10)
