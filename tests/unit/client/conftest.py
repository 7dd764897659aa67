"""The local service, and one face for both clients, so that every behaviour is tested on each."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from gblend_client import AsyncGblend, Gblend

from tests.unit.client.service import Service, serving

QUICK = {"timeout": 5.0, "stream_timeout": 5.0, "backoff": 0.001}


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    proxies = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
    for name in ("GBLEND_URL", "GBLEND_API_KEY", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", *proxies):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def service() -> Iterator[Service]:
    """A service that keeps the contract."""
    with serving() as running:
        yield running


class _AsyncFace:
    """A part of `AsyncGblend` behind the sync face: what it returns is awaited, what it iterates is drained."""

    def __init__(self, part: Any, runner: asyncio.Runner) -> None:
        self._part = part
        self._runner = runner

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            async def drain(stream: AsyncIterator[Any]) -> list[Any]:
                return [item async for item in stream]

            result = getattr(self._part, name)(*args, **kwargs)
            return self._runner.run(result if inspect.iscoroutine(result) else drain(result))

        return call


@pytest.fixture(params=["sync", "async"])
def jobs(request: pytest.FixtureRequest, service: Service) -> Iterator[Any]:
    """`Gblend(...).jobs`, and `AsyncGblend(...).jobs` with the same face."""
    yield from _part("jobs", request.param, service)


@pytest.fixture(params=["sync", "async"])
def experiments(request: pytest.FixtureRequest, service: Service) -> Iterator[Any]:
    """`Gblend(...).experiments`, and `AsyncGblend(...).experiments` with the same face."""
    yield from _part("experiments", request.param, service)


def _part(name: str, kind: str, service: Service) -> Iterator[Any]:
    if kind == "sync":
        with Gblend(service.url, **QUICK) as client:
            yield getattr(client, name)
        return
    with asyncio.Runner() as runner:
        client = AsyncGblend(service.url, **QUICK)
        yield _AsyncFace(getattr(client, name), runner)
        runner.run(client.aclose())
