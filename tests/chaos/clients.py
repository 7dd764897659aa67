"""Owners of jobs: they submit over HTTP, change their minds, and follow streams over a network that breaks."""

from __future__ import annotations

import json
import queue
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
from gblend_client.sse import EventStreamParser, Message

from tests.chaos.scripts import Script, Scripts
from tests.e2e.client.proxy import Proxy, proxy_to
from tests.tiny import ONLINE, tiny_spec

_PATIENCE_SECONDS = 240.0
_STOP_SECONDS = 40.0
_IN_FLIGHT = 24
_PAUSE_SECONDS = 0.1
_CUT_AFTER = (300, 9000)
"""Bytes of a stream that come through before it breaks."""

Seen = list[tuple[int, str, Any]]


def spec_of(script: Script) -> dict[str, Any]:
    """The body that submits it."""
    return tiny_spec(metadata=script.metadata)


def real_spec() -> dict[str, Any]:
    """A job that trains for real, long enough to be hit."""
    return tiny_spec(ONLINE, epochs=40, dropout=0.3)


def diverging_spec() -> dict[str, Any]:
    """A job that trains for real until its loss is no number: weights that are multiplied by -9 at every step."""
    optimizer = {"type": "sgd", "lr": 10.0, "weight_decay": 1.0}
    return tiny_spec({"strategy": "naive"}, epochs=20, training={"optimizer": optimizer})


class Owners:
    """Threads that submit every script once, and others that follow some of the jobs."""

    def __init__(
        self,
        urls: list[str],
        scripts: Scripts,
        *,
        rng: random.Random,
        submit_poison: Callable[[str, Script], str],
        ended: Callable[[], int],
    ) -> None:
        self._urls = urls
        self.scripts = scripts
        self._rng = rng
        self._submit_poison = submit_poison
        self._ended = ended
        self._todo: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._to_follow: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._done_submitting = threading.Event()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self.accepted = 0
        self.streams: dict[str, Seen] = {}
        self.reconnects = 0
        self.problems: list[str] = []

    def start(self, *, submitters: int = 2, followers: int = 3) -> None:
        """Begin."""
        for key in self.scripts.by_key:
            self._todo.put(key)
        work = [self._submit] * submitters + [self._follow] * followers
        seeds = [self._rng.random() for _ in work]
        for target, seed in zip(work, seeds, strict=True):
            thread = threading.Thread(target=self._guarded, args=(target, random.Random(seed)), daemon=True)
            self._threads.append(thread)
            thread.start()

    @property
    def is_done(self) -> bool:
        """Whether everything was submitted."""
        return self.accepted >= len(self.scripts.by_key)

    def stop(self) -> None:
        """Let the followers finish what they follow, and end. All jobs have ended, so that takes no time."""
        self._done_submitting.set()
        deadline = time.monotonic() + _STOP_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._closing.set()
        if any(thread.is_alive() for thread in self._threads):
            self.problems.append("a client was still waiting for something after everything had ended")

    def _guarded(self, target: Callable[[random.Random], None], rng: random.Random) -> None:
        try:
            target(rng)
        except Exception as error:  # noqa: BLE001 - a client that dies must fail the run, not go unnoticed
            self.problems.append(f"a client died: {type(error).__name__}: {error}")

    # Submitting

    def _submit(self, rng: random.Random) -> None:
        with httpx.Client(timeout=10.0) as client:
            while True:
                try:
                    key = self._todo.get_nowait()
                except queue.Empty:
                    return
                while self.accepted - self._ended() > _IN_FLIGHT and not self._closing.is_set():
                    time.sleep(_PAUSE_SECONDS)
                job_id = self._submit_one(client, key, rng)
                with self._lock:
                    self.accepted += 1
                if rng.random() < 0.3:
                    self._to_follow.put(job_id)

    def _submit_one(self, client: httpx.Client, key: str, rng: random.Random) -> str:
        script = self.scripts.by_key[key]
        if script.kind == "poison":
            return self._submit_poison(key, script)
        job_id: str = self._ask(client, "POST", "/v1/jobs", rng, json=spec_of(script), key=key)["id"]
        if script.kind == "cancelled":
            time.sleep(rng.uniform(0.0, 1.0))
            self._ask(client, "POST", f"/v1/jobs/{job_id}/cancel", rng)
        if script.kind == "paused":
            time.sleep(rng.uniform(0.0, 1.0))
            self._ask(client, "POST", f"/v1/jobs/{job_id}/pause", rng)
            time.sleep(rng.uniform(0.0, 1.0))
            self._ask(client, "POST", f"/v1/jobs/{job_id}/resume", rng)
        return job_id

    def _ask(
        self,
        client: httpx.Client,
        method: str,
        path: str,
        rng: random.Random,
        *,
        json: dict[str, Any] | None = None,
        key: str | None = None,
    ) -> dict[str, Any]:
        """Until somebody answers. 409 says that the job has ended meanwhile, or a twin of this request is at work."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        headers = {} if key is None else {"idempotency-key": key}
        while True:
            try:
                response = client.request(method, rng.choice(self._urls) + path, json=json, headers=headers)
                if response.is_success or (response.status_code == 409 and key is None):
                    answer: dict[str, Any] = response.json()
                    return answer
                said = f"{response.status_code} {response.text[:200]}"
                if response.status_code < 500 and response.status_code not in (409, 429):
                    raise AssertionError(f"{method} {path}: {said}")
            except httpx.TransportError as error:
                said = type(error).__name__
            if time.monotonic() > deadline:
                raise AssertionError(f"{method} {path}: nobody answers: {said}")
            time.sleep(_PAUSE_SECONDS)

    # Following

    def _follow(self, rng: random.Random) -> None:
        with proxy_to(self._urls[0]) as proxy, httpx.Client(timeout=httpx.Timeout(10.0, read=20.0)) as client:
            while True:
                try:
                    job_id = self._to_follow.get(timeout=_PAUSE_SECONDS)
                except queue.Empty:
                    if self._done_submitting.is_set():
                        return
                    continue
                self._follow_one(client, proxy, job_id, rng)

    def _follow_one(self, client: httpx.Client, proxy: Proxy, job_id: str, rng: random.Random) -> None:
        seen: Seen = []
        deadline = time.monotonic() + _PATIENCE_SECONDS
        connections = 0
        while True:
            proxy.point_to(rng.choice(self._urls))
            if rng.random() < 0.7:
                proxy.budgets.append(rng.randint(*_CUT_AFTER))
            connections += 1
            done = False
            for message in _messages(client, f"{proxy.url}/v1/jobs/{job_id}/events/stream", seen):
                if message.event == "done":
                    done = True
                    break
                said = json.loads(message.data)
                seen.append((int(message.id), said["type"], said["data"]))
            proxy.budgets.clear()
            if done:
                break
            if time.monotonic() > deadline:
                self.problems.append(f"{job_id}: its stream never ended")
                break
            time.sleep(rng.uniform(0.0, _PAUSE_SECONDS))
        with self._lock:
            self.streams[job_id] = seen
            self.reconnects += connections - 1


def _messages(client: httpx.Client, url: str, seen: Seen) -> Iterator[Message]:
    """What one connection brings; ends when it breaks."""
    headers = {"last-event-id": str(seen[-1][0])} if seen else {}
    parser = EventStreamParser()
    try:
        with client.stream("GET", url, headers={**headers, "connection": "close"}) as response:
            if response.status_code != 200:
                return
            for chunk in response.iter_bytes():
                for item in parser.feed(chunk):
                    if isinstance(item, Message):
                        yield item
    except httpx.TransportError:
        return
