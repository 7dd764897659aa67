"""The two shells that perform effects: one blocks, one awaits. Neither decides anything."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from typing import Any, TypeVar, cast

import anyio
import anyio.to_thread
import httpx

from gblend_client._flow import Answer, Close, Do, Effect, Emit, Flow, Lost, Open, Read, Request, Send, Sleep

T = TypeVar("T")
_Http = httpx.Client | httpx.AsyncClient


class SyncDriver:
    """Performs flows over `httpx.Client`. `stream_timeout`: seconds without a byte after which a stream is dead."""

    def __init__(self, http: httpx.Client, *, stream_timeout: float) -> None:
        self._http = http
        self._stream_timeout = stream_timeout

    def run(self, flow: Flow[T]) -> T:
        """The flow's result; what it emits is thrown away."""
        stream = self._perform(flow)
        while True:
            try:
                next(stream)
            except StopIteration as stop:
                return cast(T, stop.value)

    def stream(self, flow: Flow[Any]) -> Generator[Any, None, None]:
        """What the flow emits."""
        yield from self._perform(flow)

    def _perform(self, flow: Flow[T]) -> Generator[Any, None, T]:
        response: httpx.Response | None = None
        chunks: Iterator[bytes] = iter(())
        reply: Any = None
        try:
            while True:
                try:
                    effect = flow.send(reply)
                except StopIteration as stop:
                    return cast(T, stop.value)
                match effect:
                    case Emit(item):
                        yield item
                        reply = None
                    case Open(request):
                        _close(response)
                        response, reply = self._open(request)
                        chunks = response.iter_bytes() if response is not None else iter(())
                    case Read():
                        reply = _read(chunks)
                    case Close():
                        _close(response)
                        response, chunks = None, iter(())
                    case _:
                        reply = self._plain(effect)
        finally:
            flow.close()
            _close(response)

    def _plain(self, effect: Effect) -> Any:
        match effect:
            case Send(request):
                try:
                    return _answer(self._http.send(_built(self._http, request)))
                except httpx.HTTPError as error:
                    return _lost(error, self._http.base_url)
            case Sleep(seconds):
                time.sleep(seconds)
            case Do():
                return effect.attempt()
        return None

    def _open(self, request: Request) -> tuple[httpx.Response | None, Answer | Lost]:
        try:
            response = self._http.send(_built(self._http, request, self._stream_timeout), stream=True)
        except httpx.HTTPError as error:
            return None, _lost(error, self._http.base_url)
        if response.is_success:
            return response, _answer(response, opened=True)
        try:
            response.read()
        except httpx.HTTPError as error:
            return None, _lost(error, self._http.base_url)
        finally:
            response.close()
        return None, _answer(response)


class AsyncDriver:
    """Performs flows over `httpx.AsyncClient`; see `SyncDriver`."""

    def __init__(self, http: httpx.AsyncClient, *, stream_timeout: float) -> None:
        self._http = http
        self._stream_timeout = stream_timeout

    async def run(self, flow: Flow[T]) -> T:
        """The flow's result; a flow that emits belongs to `stream`."""
        reply: Any = None
        session = _AsyncSession(self._http, self._stream_timeout)
        try:
            while True:
                try:
                    effect = flow.send(reply)
                except StopIteration as stop:
                    return cast(T, stop.value)
                reply = await session.perform(effect)
        finally:
            flow.close()
            await session.close()

    async def stream(self, flow: Flow[Any]) -> AsyncGenerator[Any, None]:
        """What the flow emits."""
        reply: Any = None
        session = _AsyncSession(self._http, self._stream_timeout)
        try:
            while True:
                try:
                    effect = flow.send(reply)
                except StopIteration:
                    return
                if isinstance(effect, Emit):
                    yield effect.item
                    reply = None
                else:
                    reply = await session.perform(effect)
        finally:
            flow.close()
            await session.close()


class _AsyncSession:
    """One flow's open stream."""

    def __init__(self, http: httpx.AsyncClient, stream_timeout: float) -> None:
        self._http = http
        self._stream_timeout = stream_timeout
        self._response: httpx.Response | None = None
        self._chunks: AsyncIterator[bytes] | None = None

    async def perform(self, effect: Effect) -> Any:
        match effect:
            case Send(request):
                try:
                    return _answer(await self._http.send(_built(self._http, request)))
                except httpx.HTTPError as error:
                    return _lost(error, self._http.base_url)
            case Open(request):
                return await self._open(request)
            case Read():
                return await self._read()
            case Close():
                await self.close()
            case Sleep(seconds):
                await anyio.sleep(seconds)
            case Do():
                return await anyio.to_thread.run_sync(effect.attempt)
        return None

    async def _open(self, request: Request) -> Answer | Lost:
        await self.close()
        try:
            response = await self._http.send(_built(self._http, request, self._stream_timeout), stream=True)
        except httpx.HTTPError as error:
            return _lost(error, self._http.base_url)
        if response.is_success:
            self._response, self._chunks = response, response.aiter_bytes()
            return _answer(response, opened=True)
        try:
            await response.aread()
        except httpx.HTTPError as error:
            return _lost(error, self._http.base_url)
        finally:
            await response.aclose()
        return _answer(response)

    async def _read(self) -> bytes | Lost | None:
        if self._chunks is None:
            return None
        try:
            return await anext(self._chunks, None)
        except httpx.HTTPError as error:
            return _lost(error)

    async def close(self) -> None:
        if self._response is not None:
            with anyio.CancelScope(shield=True):  # also when the caller was cancelled: the connection must go back
                await self._response.aclose()
        self._response = self._chunks = None


def _built(http: _Http, request: Request, read_timeout: float | None = None) -> httpx.Request:
    built = http.build_request(
        request.method,
        request.path,
        params=list(request.params) or None,
        headers=dict(request.headers),
        content=request.body,
    )
    if read_timeout is not None:
        built.extensions["timeout"]["read"] = read_timeout
    return built


def _answer(response: httpx.Response, *, opened: bool = False) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(status=response.status_code, headers=headers, body=b"" if opened else response.content)


def _lost(error: httpx.HTTPError, url: httpx.URL | None = None) -> Lost:
    place = f"{url.scheme}://{url.netloc.decode('ascii')}" if url is not None else ""
    return Lost(reason=str(error) or type(error).__name__, url=place)


def _read(chunks: Iterator[bytes]) -> bytes | Lost | None:
    try:
        return next(chunks, None)
    except httpx.HTTPError as error:
        return _lost(error)


def _close(response: httpx.Response | None) -> None:
    if response is not None:
        response.close()
