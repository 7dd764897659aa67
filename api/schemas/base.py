"""What every answer shares."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import AfterValidator, ConfigDict, JsonValue

from core.attribute_docs import DocumentedModel


def _as_utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


Timestamp = Annotated[datetime, AfterValidator(_as_utc)]
"""RFC 3339 in UTC, with `Z`."""

JsonObject = dict[str, JsonValue]


class WireModel(DocumentedModel):
    """Base of every answer. JSON carries no NaN or Infinity: such a number becomes `null`."""

    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="null", defer_build=True)


T = TypeVar("T", bound=WireModel)


class ListOut(WireModel, Generic[T]):
    """One page of a list."""

    object: Literal["list"] = "list"
    data: list[T]
    has_more: bool
    next_after: str | None
    """Ask for the next page with `?after=` and this; `null` when the list is empty."""
