"""JSON to frozen dataclasses, by the dataclass's own type hints.

Unknown fields are ignored and missing ones take their default, so that client and server may be of different ages; a
known field of the wrong type is a `ProtocolError` that names it.
"""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from gblend_client.errors import ProtocolError

D = TypeVar("D")


@functools.cache
def _hints(cls: Any) -> dict[str, Any]:
    return get_type_hints(cls)


def decode(cls: type[D], raw: object, where: str = "") -> D:
    """`raw` as a `cls`; `where` names it in messages."""
    where = where or cls.__name__.lower()
    if not isinstance(raw, Mapping):
        raise ProtocolError(f"{where}: the service sent {_kind(raw)} instead of an object")
    hints = _hints(cast(Any, cls))
    values: dict[str, Any] = {}
    for spec in dataclasses.fields(cast(Any, cls)):
        if spec.name == "raw":
            values["raw"] = raw
        elif spec.name in raw:
            if raw[spec.name] is None and not _takes_none(hints[spec.name]):
                continue  # null for "nothing": the default says the same
            values[spec.name] = _value(hints[spec.name], raw[spec.name], f"{where}.{spec.name}")
    try:
        return cls(**values)
    except TypeError:
        required = {f.name for f in dataclasses.fields(cast(Any, cls)) if _is_required(f)}
        raise ProtocolError(f"{where}: the service left out {', '.join(sorted(required - set(values)))}") from None


def _value(hint: Any, raw: Any, where: str) -> Any:
    origin = get_origin(hint)
    if origin in (types.UnionType, Union):
        if raw is None:
            return None
        (inner,) = (each for each in get_args(hint) if each is not types.NoneType)
        return _value(inner, raw, where)
    if origin is tuple:
        if not isinstance(raw, list):
            raise ProtocolError(f"{where}: the service sent {_kind(raw)} instead of a list")
        inner = get_args(hint)[0]
        return tuple(_value(inner, item, f"{where}[{index}]") for index, item in enumerate(raw))
    if origin is Mapping and dataclasses.is_dataclass(get_args(hint)[1]):
        inner = cast(type[Any], get_args(hint)[1])
        return {str(key): decode(inner, each, f"{where}.{key}") for key, each in _plain(Mapping, raw, where).items()}
    if dataclasses.is_dataclass(hint):
        return decode(cast(type[Any], hint), raw, where)
    if hint is datetime:
        return _time(raw, where)
    return _plain(Mapping if origin is not None else hint, raw, where)


def _plain(hint: Any, raw: Any, where: str) -> Any:
    if hint is float and isinstance(raw, int) and not isinstance(raw, bool):
        return float(raw)
    if not isinstance(raw, hint) or (hint is int and isinstance(raw, bool)):
        raise ProtocolError(f"{where}: the service sent {_kind(raw)} instead of {hint.__name__}")
    return raw


def _time(raw: Any, where: str) -> datetime:
    try:
        return datetime.fromisoformat(raw)
    except (TypeError, ValueError):
        raise ProtocolError(f"{where}: the service sent {raw!r:.60} instead of an RFC 3339 time") from None


def _takes_none(hint: Any) -> bool:
    return types.NoneType in get_args(hint)


def _is_required(spec: dataclasses.Field[Any]) -> bool:
    return spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING


def _kind(raw: object) -> str:
    return "null" if raw is None else type(raw).__name__
