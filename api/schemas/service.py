"""Answers about the service itself."""

from __future__ import annotations

from typing import Literal

from api.schemas.base import WireModel


class HealthOut(WireModel):
    """The process answers; nothing else is looked at."""

    status: Literal["ok"] = "ok"


class ReadyOut(WireModel):
    """Everything that a job needs is in reach."""

    status: Literal["ready"] = "ready"
    checks: dict[str, Literal["ok"]]
    """`database`, `migrations`, `broker`."""


class IndexOut(WireModel):
    """Where things are."""

    service: Literal["gblend"] = "gblend"
    version: str
    links: dict[str, str]
