"""From pydantic's `loc` to a place in the client's JSON.

A `loc` names the branch of a union as well (`modalities, 1, "image", "column"`). Walking the JSON schema along the
`loc` tells such tags from field names, and says which names would have been known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Self
from urllib.parse import quote

from pydantic import BaseModel

Schema = Mapping[str, Any]
Loc = Sequence[int | str]

_NOUNS = {"JobSpec": "a job spec", "ExperimentSpec": "an experiment", "DatasetRegistration": "a data set"}


def pointer_of(parts: Iterable[int | str]) -> str:
    """A JSON pointer (RFC 6901) as a URI fragment: `#/dataset/modalities/1/column`."""
    escaped = (str(part).replace("~", "~0").replace("/", "~1") for part in parts)
    return "#" + "".join("/" + quote(part, safe="~!$&'()*+,;=:@", errors="replace") for part in escaped)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place in a request body, and what the schema says about it."""

    parts: tuple[int | str, ...]
    """The way through the body, without pydantic's tags."""
    node: Schema
    """The schema of the value there; empty where there is none (an unknown field)."""
    parent: Schema
    """The schema of the object that holds it."""
    noun: str
    """What the whole body is: `a job spec`."""

    def below(self, name: str) -> str:
        """The pointer to a field of the value."""
        return pointer_of((*self.parts, name))


class SchemaWalk:
    """Walks the JSON schema of a model."""

    def __init__(self, model: type[BaseModel]) -> None:
        self._root: Schema = model.model_json_schema(mode="validation")
        self._noun = _NOUNS.get(model.__name__, "an object")

    @classmethod
    @cache
    def of(cls, model: type[BaseModel]) -> Self:
        """The walk of this model; its schema is made once."""
        return cls(model)

    def locate(self, loc: Loc) -> Place:
        """As far as `loc` can be followed."""
        node = parent = self._whole(self._root)
        parts: list[int | str] = []
        for part in loc:
            mapping = node.get("discriminator", {}).get("mapping", {})
            if part in mapping:  # pydantic's own step into a branch
                node = self._whole({"$ref": mapping[part]})
                continue
            if entries := _branch_of_entries(node, part):
                node = entries
                continue
            following = self._step(node, part)
            if following is None:  # the label of another branch of a plain union, or pydantic's "[key]"
                break
            parent, node = node, following
            parts.append(part)
        return Place(parts=tuple(parts), node=node, parent=parent, noun=self._noun)

    def _step(self, node: Schema, part: int | str) -> Schema | None:
        """The schema one step on; empty for a field that is not known; `None` where `part` is no step at all."""
        if isinstance(part, int):
            prefix = node.get("prefixItems", [])
            inner = prefix[part] if part < len(prefix) else node.get("items")
            return self._whole(inner) if inner else {}
        if node.get("type") != "object" or part == "[key]":
            return None
        properties = node.get("properties", {})
        if part in properties:
            return self._whole(properties[part])
        inner = node.get("additionalProperties")
        return self._whole(inner) if isinstance(inner, Mapping) else {}

    def _whole(self, node: Schema) -> Schema:
        """`node` with its `$ref` followed, and `null` or a shorthand left out; the field's own description wins."""
        description = node.get("description")
        while True:
            if "$ref" in node:
                node = self._root["$defs"][str(node["$ref"]).rsplit("/", 1)[-1]]
                continue
            branches = [branch for branch in node.get("anyOf", ()) if branch.get("type") != "null"]
            objects = [branch for branch in branches if "$ref" in branch]
            if len(branches) != 1 and len(objects) != 1:
                return {**node, "description": description} if description else node
            node = (objects or branches)[0]


def is_branch_of_entries(label: int | str) -> bool:
    """Whether a part of a `loc` is pydantic's label of a union's branch `dict[...]`."""
    return isinstance(label, str) and label.startswith("dict[")


def _branch_of_entries(node: Schema, label: int | str) -> Schema | None:
    """The branch of a plain union that is an object with entries of any name, where `label` says so."""
    branches: list[Schema] = node.get("anyOf", [])
    if not is_branch_of_entries(label):
        return None
    return next((branch for branch in branches if "additionalProperties" in branch), None)
