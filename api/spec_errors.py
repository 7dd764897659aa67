"""pydantic's validation errors, put into a client's terms: a pointer into *its* JSON, a stable code, a hint.

Where an error belongs is `api.schema_walk`'s to find out: pydantic's `loc` is not yet a way through the client's JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel

from api.schema_walk import Loc, Place, SchemaWalk, is_branch_of_entries, pointer_of
from api.schemas.problem import ProblemError
from core.spec import JobSpec

_SHOWN_CHARACTERS = 80
_DOTTED = re.compile(r"[a-z_]+(?:\.[a-z_]+)+(?= )")
_JSON_WORDS = {
    "model_type": "should be an object",
    "model_attributes_type": "should be an object",
    "dict_type": "should be an object",
    "tuple_type": "should be a list",
    "list_type": "should be a list",
    "finite_number": "should be a finite number",
}
"""pydantic speaks of Python's types; a client wrote JSON."""
_REQUEST_PARTS = ("query", "path", "header", "cookie")


def body_errors(raw: Iterable[Mapping[str, Any]], model: type[BaseModel] = JobSpec) -> list[ProblemError]:
    """The errors of a request body that is no `model`, one per pointer, in the order of the body."""
    walk = SchemaWalk.of(model)
    by_pointer: dict[str, ProblemError] = {}
    for error in _without_echoes(list(raw)):
        translated = _body_error(error, walk)
        pointer = translated.pointer or "#"
        earlier = by_pointer.get(pointer)
        # Two branches of a plain union ("a string or false") each complain about the same value.
        by_pointer[pointer] = translated if earlier is None else _joined(earlier, translated)
    return list(by_pointer.values())


def parameter_errors(raw: Iterable[Mapping[str, Any]]) -> list[ProblemError]:
    """The errors of query parameters, headers and path parts."""
    return [
        ProblemError(
            code="request.parameter",
            detail=f"{error['loc'][1]}: {_sentence(error)}",
            parameter=str(error["loc"][1]),
        )
        for error in raw
    ]


def is_parameter_error(error: Mapping[str, Any]) -> bool:
    """Whether it is about something other than the body."""
    loc = error["loc"]
    return len(loc) > 1 and loc[0] in _REQUEST_PARTS


def _body_error(error: Mapping[str, Any], walk: SchemaWalk) -> ProblemError:
    place = walk.locate(error["loc"][1:])  # the first part is "body"
    kind = error["type"]
    if kind == "extra_forbidden":
        return _unknown_field(place)
    if kind == "missing":
        return _missing_field(place)
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _wrong_tag(place, error)
    if kind == "literal_error":
        return _wrong_literal(place, error)
    if kind == "value_error":
        place = _named(place, error, walk)
    code = "spec.type" if kind.endswith(("_type", "_parsing")) else "spec.value"
    return ProblemError(code=code, detail=_detail(place, error), pointer=pointer_of(place.parts), hint=_about(place))


def _without_echoes(raw: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Without what only repeats another error.

    That is "too short" of a list whose items are wrong themselves (pydantic does not count wrong items), and what the
    other branches of a union say of an object ("should be a number") whose entries are wrong.
    """

    def has_wrong_items(loc: Loc) -> bool:
        return any(len(other["loc"]) > len(loc) and other["loc"][: len(loc)] == loc for other in raw)

    def has_wrong_entries(loc: Loc) -> bool:
        at = len(loc) - 1  # where a branch of a union has its label
        return any(
            len(other["loc"]) > at + 1 and other["loc"][:at] == loc[:at] and is_branch_of_entries(other["loc"][at])
            for other in raw
        )

    return [
        error
        for error in raw
        if not (error["type"] == "too_short" and has_wrong_items(error["loc"]))
        and not (isinstance(error["input"], Mapping) and has_wrong_entries(error["loc"]))
    ]


def _unknown_field(place: Place) -> ProblemError:
    name = str(place.parts[-1])
    known = list(place.parent.get("properties", {}))
    return ProblemError(
        code="spec.unknown_field",
        detail=f"there is no field {_shown(name)} here",
        pointer=pointer_of(place.parts),
        hint=_nearest(name, known, otherwise=f"the fields here are {', '.join(sorted(known))}"),
    )


def _missing_field(place: Place) -> ProblemError:
    if not place.parts:
        return ProblemError(code="spec.missing_field", detail=f"the body is empty: {place.noun} is needed", pointer="#")
    return ProblemError(
        code="spec.missing_field",
        detail=f"the field {place.parts[-1]!r} is missing",
        pointer=pointer_of(place.parts),
        hint=_about(place),
    )


def _wrong_tag(place: Place, error: Mapping[str, Any]) -> ProblemError:
    key = str(error["ctx"]["discriminator"]).strip("'")
    known = list(place.node.get("discriminator", {}).get("mapping", {}))
    allowed = f"one of {', '.join(known)}"
    if error["type"] == "union_tag_not_found":
        detail = f"the field {key!r} is missing: it says which kind this is"
        return ProblemError(code="spec.missing_field", detail=detail, pointer=place.below(key), hint=allowed)
    tag = str(error["ctx"]["tag"])
    return ProblemError(
        code="spec.value",
        detail=f"{key} must be {allowed}; got {_shown(tag)}",
        pointer=place.below(key),
        hint=_nearest(tag, known, otherwise=allowed),
    )


def _wrong_literal(place: Place, error: Mapping[str, Any]) -> ProblemError:
    allowed = [str(value) for value in place.node.get("enum", [place.node.get("const")]) if value is not None]
    hint = _nearest(str(error["input"]), allowed, otherwise=f"one of {', '.join(allowed)}") if allowed else None
    return ProblemError(
        code="spec.value", detail=_detail(place, error), pointer=pointer_of(place.parts), hint=hint or _about(place)
    )


def _joined(first: ProblemError, second: ProblemError) -> ProblemError:
    code = first.code if first.code == second.code else "spec.value"
    detail = first.detail if second.detail in first.detail else f"{first.detail}; or: {second.detail}"
    return first.model_copy(update={"code": code, "detail": detail})


def _detail(place: Place, error: Mapping[str, Any]) -> str:
    sentence = _sentence(error)
    if error["type"] == "value_error":  # our own validators name what they mean
        return sentence
    if error["loc"][-1] == "[key]":
        return f"a key of {_name(place.parts[:-1])}: {sentence}; got {_shown(error['input'])}"
    whole = f"the {place.noun.partition(' ')[2]}"
    return f"{_name(place.parts) or whole}: {sentence}; got {_shown(error['input'])}"


def _name(parts: Sequence[int | str]) -> str:
    """The last field's name, with indices: `size[1]`; empty for the body as a whole."""
    if not parts:
        return ""
    return f"{_name(parts[:-1])}[{parts[-1]}]" if isinstance(parts[-1], int) else parts[-1]


def _sentence(error: Mapping[str, Any]) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind in _JSON_WORDS:
        return _JSON_WORDS[kind]
    if kind in ("too_short", "too_long"):
        least = f"at least {context['min_length']}" if kind == "too_short" else f"at most {context['max_length']}"
        return f"needs {least} entries, not {context['actual_length']}"
    message = str(error["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    return message[:1].lower() + message[1:]


def _named(place: Place, error: Mapping[str, Any], walk: SchemaWalk) -> Place:
    """The field below `place` that our own validator means.

    It says so (`core.spec.base.misplaced`), or its sentence begins with the field's name (`blending.modality ...`).
    """
    if at := error.get("ctx", {}).get("at"):
        return walk.locate([*error["loc"][1:], *at])
    dotted = _DOTTED.match(_sentence(error))
    if dotted is None:
        return place
    loc, value = list(error["loc"][1:]), error["input"]
    for name in dotted.group().split("."):
        loc.append(name)
        value = value.get(name) if isinstance(value, Mapping) else None
        tag = walk.locate(loc).node.get("discriminator", {}).get("propertyName")
        if isinstance(value, Mapping) and tag in value:  # into the branch, as pydantic's own steps do
            loc.append(value[tag])
    named = walk.locate(loc)
    return named if named.node else place


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=True, default=str)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def _about(place: Place) -> str | None:
    """What the schema says about the field: its docstring, on one line."""
    description = place.node.get("description") if place.parts else None
    return " ".join(str(description).split()) if description else None


def _nearest(name: str, known: Sequence[str], *, otherwise: str) -> str:
    close = get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else otherwise
