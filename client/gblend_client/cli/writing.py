"""A commented spec from a guess: what `gblend init` writes.

Every line that was guessed has its reason beside it, columns that are not used are listed with theirs, and what is
still to be said stands where it belongs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from gblend_client.cli.output import clean
from gblend_client.dataset_types import DatasetInference

_WIDTH = 100
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")
_WORDS = frozenset({"", "null", "true", "false", "yes", "no", "on", "off", "y", "n", "~"})


def commented(found: DatasetInference, *, name: str, uri: str) -> str:
    """YAML (1.2) with comments; it ends in a line break."""
    dataset, notes = found.dataset, found.notes
    lines = [
        f"# A guess by `gblend init {_remark(uri)}`. Look it over; then: gblend validate this file.",
        *(f"# STILL NEEDED: {_remark(each)}" for each in found.missing),
        f"name: {flow(name)}",
        "",
        "dataset:",
        *_field("source", dataset.get("source"), notes),
    ]
    if "sample_id" in dataset:
        lines += _field("sample_id", dataset["sample_id"], notes)
    if "target" in dataset:
        lines += _field("target", dataset["target"], notes)
        lines.append("  # target.type may be: multiclass, binary, multilabel, regression")
    else:
        lines.append("  # target: {column: ...}")
    lines += _modalities(dataset.get("modalities", ()), notes)
    lines += _field("split", dataset.get("split"), notes)
    if dataset.get("split", {}).get("method") == "draw" and "group_by" not in dataset.get("split", {}):
        lines.append("  # Do rows come from the same speaker, patient, site? Name the column: group_by: [...]")
    if found.left_out:
        lines += ["  # Columns that are not used:"]
        lines += [f"  #   {_remark(column)}: {_remark(reason)}" for column, reason in found.left_out.items()]
    lines += ["", "# V: held out of the training part to measure how each modality generalises."]
    if "#/holdout" in notes:
        lines.append(f"# {_remark(notes['#/holdout'])}")
    lines += [
        f"holdout: {flow(found.holdout or {'fraction': 0.15})}",
        "blending: {strategy: online}  # or offline, equal, naive, ...; `gblend compare` trains several",
        "training: {epochs: 20}",
    ]
    return "\n".join(lines) + "\n"


def flow(value: Any) -> str:
    """A value in YAML's flow style; texts that could be anything else are quoted."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(str(key))}: {flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(flow(each) for each in value) + "]"
    if isinstance(value, str):
        plain = value[:1] in _PLAIN and all(mark in _PLAIN or mark in "0123456789-" for mark in value)
        return value if plain and value.lower() not in _WORDS else _quoted(value)
    return json.dumps(value)


def _quoted(text: str) -> str:
    """In double quotes. JSON's escapes will not do: YAML has no surrogate pairs, and takes fewer marks as they are."""
    return '"' + "".join(_escaped(mark) for mark in text) + '"'


def _escaped(mark: str) -> str:
    if mark in '"\\':
        return f"\\{mark}"
    return mark if _is_printable(mark) else f"\\U{ord(mark):08x}"


def _remark(text: str) -> str:
    """A text of the data or the service in a comment: on its line, without what YAML forbids even there."""
    return "".join(mark if _is_printable(mark) else "\N{REPLACEMENT CHARACTER}" for mark in clean(text))


def _is_printable(mark: str) -> bool:
    return mark.isprintable() and ord(mark) not in (0xFEFF, 0xFFFE, 0xFFFF)


def _field(name: str, value: Any, notes: Mapping[str, str]) -> list[str]:
    note = notes.get(f"#/dataset/{name}")
    return [f"  {name}: {flow(value)}" + (f"  # {_remark(note)}" if note else "")]


def _modalities(modalities: Sequence[Mapping[str, Any]], notes: Mapping[str, str]) -> list[str]:
    if not modalities:
        return ["  modalities: []"]
    lines = ["  modalities:"]
    for place, modality in enumerate(modalities):
        note = notes.get(f"#/dataset/modalities/{place}")
        if note:
            lines.append(f"    # {_remark(note)}")
        columns = modality.get("columns")
        whole = f"    - {flow(modality)}"
        if len(whole) <= _WIDTH or not isinstance(columns, Sequence) or isinstance(columns, str):
            lines.append(whole)
            continue
        head = [(key, value) for key, value in modality.items() if key != "columns"]
        for number, (key, value) in enumerate(head):
            lines.append(f"    {'-' if number == 0 else ' '} {key}: {flow(value)}")
        lines.append("      columns:")
        lines += [f"        - {flow(column)}" for column in columns]
    return lines
