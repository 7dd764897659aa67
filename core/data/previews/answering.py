"""What a previewer's process does with a question: JSON in, JSON and bytes out. Keeps what it has opened."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.data.previews.opened import TOO_LARGE, Opened, open_dataset
from core.data.previews.pictures import picture_of, sound_of
from core.data.previews.values import Skip, blob_at, rows_of
from core.data.problems import HINTS, SampleError
from core.errors import GblendError, NotFoundError
from core.spec.data import AudioModality, MediaModality
from core.spec.registration import DatasetRegistration

Question = dict[str, Any]
Answer = tuple[dict[str, Any], bytes]

_KEPT = 2
"""Data sets that stay open."""
_KEPT_SECONDS = 300.0
"""A folder may change below what its own time of change says."""


class Answering:
    """Answers are `{"rows": ...}`, `{"bytes": true}` with the bytes, or `{"error": ...}`; none raises."""

    def __init__(self, tell: Callable[[dict[str, Any]], None]) -> None:
        """`tell` is given what it is at, before it looks into a file: `{"at": [row, modality]}`."""
        self._tell = tell
        self._opened: OrderedDict[str, tuple[float, Opened]] = OrderedDict()

    def answer(self, question: Question) -> Answer:
        """One answer."""
        try:
            opened = self._open(question)
            if question["wanted"] == "rows":
                return self._rows(opened, question), b""
            return {"bytes": True}, self._shown(opened, question)
        except SampleError as error:
            return _refusal("SampleError", error.code, error.detail, HINTS.get(error.code)), b""
        except GblendError as error:
            issues = [issue.to_json() for issue in error.issues]
            return _refusal(type(error).__name__, error.code, error.detail, error.hint, issues), b""
        except MemoryError:
            self._opened.clear()
            return _refusal("DataError", "preview.too_large", TOO_LARGE, "a job may still read it"), b""
        except OSError as error:
            return _refusal("SampleError", "file.missing", error.strerror or "it cannot be read", None), b""

    def _open(self, question: Question) -> Opened:
        key, now = question["dataset"], time.monotonic()
        since, opened = self._opened.get(key, (0.0, None))
        if opened is None or now - since > _KEPT_SECONDS or opened.is_stale():
            self._opened.pop(key, None)
            while len(self._opened) >= _KEPT:
                self._opened.popitem(last=False)
            roots = {name: Path(folder) for name, folder in question["roots"].items()}
            registration = DatasetRegistration.model_validate(question["registration"])
            opened = open_dataset(registration, roots, seconds=question["seconds"])
            self._opened[key] = (now, opened)
        self._opened.move_to_end(key)
        return opened

    def _rows(self, opened: Opened, question: Question) -> dict[str, Any]:
        places = opened.chosen(question["part"], question["class"])
        after, limit = question["after"], question["limit"]
        begin = 0 if after is None else int((opened.rows[places] <= after).sum())
        page = places[begin : begin + limit]
        skip: Skip = {(row, name): wrong for row, name, wrong in question["skip"]}
        rows = rows_of(opened, page, skip, lambda row, name: self._tell({"at": [row, name]}))
        more = len(places) > begin + limit
        return {"rows": rows, "total": len(places), "has_more": more, "fingerprint": opened.fingerprint}

    def _shown(self, opened: Opened, question: Question) -> bytes:
        spec = opened.registration.dataset
        modality = next((each for each in spec.modalities if each.name == question["modality"]), None)
        if modality is None:
            raise NotFoundError("the data set has no such modality", code="modality.not_found")
        place = opened.place_of(question["row"])
        if question["wanted"] == "picture" and isinstance(modality, MediaModality):
            return picture_of(blob_at(opened, modality, place), modality)
        if question["wanted"] == "sound" and isinstance(modality, AudioModality):
            return sound_of(blob_at(opened, modality, place), modality)
        raise NotFoundError(f"there is no {question['wanted']} of the type {modality.type!r}", code="preview.not_found")


def _refusal(
    kind: str, code: str, detail: str, hint: str | None, issues: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    return {"error": {"kind": kind, "code": code, "detail": detail, "hint": hint, "issues": issues or []}}
