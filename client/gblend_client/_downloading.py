"""Downloading artifacts: to a part file, resumed after a break, verified, then moved to its place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from gblend_client._calls import all_items, job_path
from gblend_client._files import PartFile, named, target
from gblend_client._flow import Answer, Close, Flow, Lost, Request, Sleep, do, open_stream, read
from gblend_client._problems import error_of
from gblend_client._retry import Backoff
from gblend_client.errors import IntegrityError, InvalidInput
from gblend_client.types import Artifact

T = TypeVar("T")

_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


def download(job_id: str, dest: Path, names: Sequence[str] | None, backoff: Backoff) -> Flow[tuple[Path, ...]]:
    """Fetches a job's artifacts (all, or those named) below `dest`. All names are checked before the first byte."""
    listed = yield from all_items(Artifact, job_path(job_id, "artifacts"), (), backoff)
    chosen = _choose(listed, names, job_id)
    with named(dest):
        plan = [(artifact, target(dest, artifact.name)) for artifact in chosen]
    clash = {path for _, path in plan if [p for _, p in plan].count(path) > 1}
    if clash:
        raise IntegrityError(f"two artifacts would lie at {sorted(clash)[0]}")
    done = []
    for artifact, path in plan:
        done.append((yield from _fetch(job_id, artifact, path, backoff)))
    return tuple(done)


def _choose(listed: Sequence[Artifact], names: Sequence[str] | None, job_id: str) -> list[Artifact]:
    if names is None:
        return list(listed)
    by_name = {artifact.name: artifact for artifact in listed}
    unknown = [name for name in names if name not in by_name]
    if unknown:
        there = ", ".join(sorted(by_name)) or "none yet"
        raise InvalidInput(f"job {job_id} has no artifact {', '.join(map(repr, unknown))}", hint=f"there are: {there}")
    return [by_name[name] for name in dict.fromkeys(names)]


def _fetch(job_id: str, artifact: Artifact, path: Path, backoff: Backoff) -> Flow[Path]:
    part = PartFile(path, size=artifact.bytes, sha256=artifact.sha256)
    with named(path):
        if (yield from do(part.is_done)):
            return path
        try:
            yield from do(part.open)
            resumed = part.have > 0
            yield from _receive(job_id, artifact, part, backoff)
            if not part.is_whole() and resumed:  # what an earlier try left was not what it seemed
                part.restart()
                yield from _receive(job_id, artifact, part, backoff)
            if not part.is_whole():
                part.discard()
                raise IntegrityError(
                    f"{artifact.name}: what arrived does not have the sha256 {artifact.sha256}",
                    hint="nothing was kept; try again",
                )
            return (yield from do(part.finish))
        finally:
            part.close()


def _receive(job_id: str, artifact: Artifact, part: PartFile, backoff: Backoff) -> Flow[None]:
    """Receives until every byte is there. Progress renews the patience."""
    failures = 0
    while part.have < part.size:
        before = part.have
        reply = yield from open_stream(_request(job_id, artifact, part.have))
        if isinstance(reply, Answer) and reply.status == 416:
            part.restart()  # the range that was asked for cannot be had: everything, then
            reply = Lost(reason="the service has no such range")
        elif isinstance(reply, Answer) and reply.ok:
            _align(part, reply)
            reply = yield from _pour(part)
            yield Close()
        if part.have > before:
            failures = 0
        if part.have == part.size:
            return
        failures += 1
        error = error_of(reply)
        pause = backoff.pause(failures, error)
        if pause is None:
            raise error
        yield Sleep(pause)


def _pour(part: PartFile) -> Flow[Lost]:
    """Reads one connection to its end; an early end is a loss like any other."""
    while True:
        chunk = yield from read()
        if chunk is None:
            return Lost(reason=f"the download ended at {part.have} of {part.size} bytes")
        if isinstance(chunk, Lost):
            return chunk
        yield from _append(part, chunk)


def _append(part: PartFile, chunk: bytes) -> Flow[None]:
    yield from do(lambda: part.append(chunk))


def _align(part: PartFile, answer: Answer) -> None:
    """A server may ignore a Range and send everything, or send another range than asked: only then starts over."""
    if answer.status != 206:
        part.restart()
        return
    match = _CONTENT_RANGE.fullmatch(answer.headers.get("content-range", ""))
    if match is None or int(match[1]) != part.have:
        raise IntegrityError(f"{part.path.name}: the service sent another range than was asked for")


def _request(job_id: str, artifact: Artifact, have: int) -> Request:
    headers = {"accept-encoding": "identity"}
    if have:
        headers["range"] = f"bytes={have}-"
    return Request(method="GET", path=_path(job_id, artifact), headers=headers)


def _path(job_id: str, artifact: Artifact) -> str:
    """Where the service says the bytes are, as long as that is a path of its own: the key goes nowhere else."""
    if artifact.href is None:
        return job_path(job_id, "artifacts", artifact.name)
    parts = urlsplit(artifact.href)
    if parts.scheme or parts.netloc or not artifact.href.startswith("/"):
        raise IntegrityError(f"{artifact.name}: the service sends us to another host; refused")
    return artifact.href
