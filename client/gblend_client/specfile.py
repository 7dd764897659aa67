"""Job specs from YAML or JSON files, and changes to them from the command line.

YAML is read by the core schema of YAML 1.2, as JSON's superset: `1e-3` is a number, `no` and `on` are words, dates stay
text. PyYAML's own loader follows YAML 1.1, in which all three are something else. A key that occurs twice is an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from copy import deepcopy
from os import PathLike
from pathlib import Path
from typing import Any

import yaml

from gblend_client.errors import InvalidInput

SpecInput = Mapping[str, Any] | str | PathLike[str]
"""A spec as a mapping, or the path of a YAML or JSON file."""

_MAX_BYTES = 4 * 1024 * 1024
_MAX_ALIASES = 1000


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the core schema's scalars and without repeated keys."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own way

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.value in seen:
                what = f"the key {key.value!r} occurs twice" if isinstance(key, yaml.ScalarNode) else "a key is no text"
                raise yaml.constructor.ConstructorError(None, None, what, key.start_mark)
            seen.add(key.value)
        self.flatten_mapping(node)
        return {self._key(key): self.construct_object(value, deep=True) for key, value in node.value}

    def _key(self, node: yaml.Node) -> str:
        return str(node.value)  # JSON knows text keys only: `0: x` is the key "0"


def _scalar(tag: str, pattern: str, first: str) -> None:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), list(first))


_scalar("null", r"^(?:null|Null|NULL|~|)$", "nN~\0")
_Loader.yaml_implicit_resolvers.setdefault("", []).extend(_Loader.yaml_implicit_resolvers.pop("\0"))
_scalar("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF")
_scalar("int", r"^[-+]?[0-9]+$", "-+0123456789")
_scalar("float", r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$", "-+.0123456789")
_scalar("merge", r"^<<$", "<")  # not of the core schema, but of everybody's habits
_Loader.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(node.value))
_Loader.add_constructor("tag:yaml.org,2002:float", lambda loader, node: float(node.value))


def load(spec: SpecInput) -> dict[str, Any]:
    """The spec as a mapping of its own; `InvalidInput` says what is wrong with a file, and where."""
    if isinstance(spec, Mapping):
        return dict(spec)
    path = Path(spec)
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InvalidInput(f"{path} is larger than {_MAX_BYTES // 1024**2} MiB: that is no job spec")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise InvalidInput(f"{path} is not UTF-8 text") from None
    return parse(text, name=str(path), as_json=path.suffix.lower() == ".json")


def parse(text: str, *, name: str = "the spec", as_json: bool = False) -> dict[str, Any]:
    """A spec from text; see `load`."""
    try:
        found = json.loads(text, object_pairs_hook=_unique) if as_json else _yaml(text)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise InvalidInput(f"{name}: {_where(error)}") from None
    if not isinstance(found, dict):
        raise InvalidInput(f"{name} holds no mapping at its top, but {type(found).__name__}")
    return found


def with_changes(spec: Mapping[str, Any], changes: Iterable[str]) -> dict[str, Any]:
    """A copy of the spec after changes such as `training.epochs=5` or `dataset.modalities.0.name=speech`.

    Values are YAML; mappings on the way are made where they are missing, list items must be there already.
    """
    changed = deepcopy(dict(spec))
    for change in changes:
        path, equals, text = change.partition("=")
        keys = path.strip().split(".")
        if not equals or not all(keys):
            raise InvalidInput(f"{change!r} is no change", hint="write KEY.PATH=VALUE, as in training.epochs=5")
        try:
            value = _yaml(text)
        except (ValueError, yaml.YAMLError) as error:
            raise InvalidInput(f"{change!r}: {_where(error)}", hint="the value is read as YAML; quote it") from None
        _assign(changed, keys, value, change)
    return changed


def _assign(spec: dict[str, Any], keys: list[str], value: Any, change: str) -> None:
    place: Any = spec
    for depth, key in enumerate(keys):
        last = depth == len(keys) - 1
        if isinstance(place, dict):
            if last:
                place[key] = value
            else:
                place = place.setdefault(key, {})
        elif isinstance(place, list) and key.isascii() and key.isdigit() and int(key) < len(place):
            if last:
                place[int(key)] = value
            else:
                place = place[int(key)]
        else:
            kind = f"a list of {len(place)} (counted from 0)" if isinstance(place, list) else "a plain value"
            raise InvalidInput(f"{change!r}: there is no {key!r} at {'.'.join(keys[:depth])!r}, which is {kind}")


def _yaml(text: str) -> Any:
    aliases = sum(isinstance(token, yaml.AliasToken) for token in yaml.scan(text, Loader=_Loader))
    if aliases > _MAX_ALIASES:
        raise ValueError(f"{aliases} aliases: that is no job spec")
    return yaml.load(text, Loader=_Loader)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} occurs twice")
    return found


def _where(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"no JSON at line {error.lineno}, column {error.colno}: {error.msg}"
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"no YAML at line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return str(error)
