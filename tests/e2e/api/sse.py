"""Reading an event stream, the simple way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx


@dataclass
class Frame:
    """What came between two blank lines."""

    id: str | None = None
    event: str | None = None
    retry: str | None = None
    data: str | None = None
    comments: list[str] = field(default_factory=list)

    @property
    def json(self) -> dict[str, Any]:
        """The data, parsed."""
        assert self.data is not None
        parsed: dict[str, Any] = json.loads(self.data)
        return parsed


def frames(response: httpx.Response) -> Iterator[Frame]:
    """The frames of an open stream, as they come."""
    frame = Frame()
    for line in response.iter_lines():
        if line == "":
            yield frame
            frame = Frame()
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "":
            frame.comments.append(value)
        else:
            assert getattr(frame, name) is None
            setattr(frame, name, value)


@contextmanager
def stream(client: httpx.Client, job_id: str, **kwargs: Any) -> Iterator[Iterator[Frame]]:
    """Open the stream of a job's events."""
    with client.stream("GET", f"/v1/jobs/{job_id}/events/stream", **kwargs) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        yield frames(response)


def durable(found: list[Frame]) -> list[int]:
    """The ids of the events of the log among frames."""
    return [int(frame.id) for frame in found if frame.id is not None]
