"""The servers of a fleet on PostgreSQL and Redis, and a network between that can fall silent."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import redis

from tests.servers import START_SECONDS, PostgresServer, RedisServer, wait_until


class ChaosPostgres(PostgresServer):
    """A PostgreSQL whose postmaster can be killed as if the machine had lost it."""

    def crash(self, how: signal.Signals) -> None:
        """SIGQUIT or SIGKILL to the postmaster; returns when all of its processes are gone."""
        postmaster = self._process
        assert postmaster is not None
        backends = _children(postmaster.pid)
        self.stop(how)
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in backends), "backends to see that")


class ChaosRedis(RedisServer):
    """A Redis with an append-only file: it comes back with its data, or without."""

    def start(self) -> None:
        """Start, or start again on the same port."""
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"]
        self._process = subprocess.Popen(
            ["redis-server", *options, "--appendfsync", "always", "--dir", self._folder],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(self._is_loaded, "Redis")

    def restart(self, *, keep: bool) -> None:
        """SIGKILL, and start again."""
        self.stop()
        if not keep:
            shutil.rmtree(self._folder, ignore_errors=True)
            os.mkdir(self._folder)
        self.start()

    def _is_loaded(self) -> bool:
        try:
            return self._answers()
        except redis.BusyLoadingError:
            return False


class MuteProxy:
    """Forwards TCP; when it is muted, connections stay open and nothing comes through, as behind a dead router."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._loop = asyncio.new_event_loop()
        self._open = threading.Event()
        self._speaking: asyncio.Event
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0
        self._thread = threading.Thread(target=self._serve, name="mute-proxy", daemon=True)
        self._thread.start()
        if not self._open.wait(START_SECONDS):
            raise AssertionError("the proxy does not listen")

    def mute(self, seconds: float) -> None:
        """Say nothing for so long, then hang up on everybody who was connected."""
        self._call(self._muted(True))
        time.sleep(seconds)
        self._call(self._muted(False))

    def close(self) -> None:
        """Stop."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(START_SECONDS)

    def _call(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(START_SECONDS)

    async def _muted(self, mute: bool) -> None:
        if mute:
            self._speaking.clear()
            return
        for writer in tuple(self._writers):
            writer.transport.abort()
        self._speaking.set()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        self._loop.run_forever()
        self._loop.run_until_complete(self._hang_up())
        self._loop.close()

    async def _listen(self) -> None:
        self._speaking = asyncio.Event()
        self._speaking.set()
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._server = server
        self._open.set()

    async def _hang_up(self) -> None:
        self._server.close()
        for writer in tuple(self._writers):
            writer.transport.abort()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            await self._speaking.wait()
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
            self._writers.add(back)
            try:
                await asyncio.wait(
                    [asyncio.create_task(self._pump(reader, back)), asyncio.create_task(self._pump(there, writer))],
                    return_when=asyncio.FIRST_COMPLETED,
                )
            finally:
                self._writers.discard(back)
                back.transport.abort()
        except OSError:
            return  # nobody listens there now: the client is hung up on
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await source.read(65536):
                await self._speaking.wait()
                sink.write(chunk)
                await sink.drain()


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []
