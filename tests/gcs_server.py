"""A Google Cloud Storage for tests: `gcp-storage-emulator`, real HTTP on loopback, in memory."""

from __future__ import annotations

import urllib.request
from urllib.parse import quote

from gcp_storage_emulator.server import create_server


class GcsServer:
    """One bucket."""

    BUCKET = "gblend"

    def __init__(self) -> None:
        self._server = create_server("127.0.0.1", 0, in_memory=True, default_bucket=self.BUCKET)

    def start(self) -> None:
        """On a port that is free."""
        self._server.start()

    def close(self) -> None:
        """Nobody listens any more."""
        self._server.stop()

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server._api._httpd.server_port}"

    def put(self, key: str, body: bytes) -> None:
        """Store an object, by a request that shares no code with what is tested."""
        url = f"{self.endpoint}/upload/storage/v1/b/{self.BUCKET}/o?uploadType=media&name={quote(key, safe='')}"
        headers = {"Content-Type": "application/octet-stream"}
        request = urllib.request.Request(url, data=body, method="POST", headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()

    def empty(self) -> None:
        """Remove everything from the bucket."""
        with urllib.request.urlopen(f"{self.endpoint}/wipe?keep-buckets=1", timeout=10) as answer:
            answer.read()
