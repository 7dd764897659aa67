"""The folder of a saved Hugging Face data set: what its JSON says, and its data files, here or on an object store.

Of a store, the files that `state.json` names are fetched into the mirror, all of them, before any is opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.data.problems import EXAMPLES
from core.data.remote import Shelf
from core.data.sources.base import Limits, source_error
from core.data.sources.records import json_object
from core.data.uris import escaped, refusal, resolve

STATE, INFO, DICT = "state.json", "dataset_info.json", "dataset_dict.json"
_MOST_JSON_BYTES = 16 * 2**20
_MOST_FILES = 10_000


class SavedFolder:
    """One folder. What is malformed raises ValueError; DataError and OSError as `Shelf.fetch` does."""

    def __init__(self, folder: Path, roots: Mapping[str, Path], limits: Limits, shelf: Shelf) -> None:
        self._folder, self._roots, self._limits, self._shelf = folder, roots, limits, shelf
        self._files = shelf.at(folder)
        self.held: list[object] = []
        """Keeps what was fetched from being removed."""

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        return self._files.is_file(self._folder / name)

    def json(self, name: str) -> dict[str, Any]:
        """A JSON file's object."""
        if not self.has(name):
            raise ValueError(f"there is no {name}")
        fetched = self._shelf.fetch([self._folder / name], self._limits, most=_MOST_JSON_BYTES)
        with fetched.paths[0].open("rb") as file:
            raw = file.read(_MOST_JSON_BYTES + 1)
        if len(raw) > _MOST_JSON_BYTES:
            raise ValueError(f"{name} has more than {_MOST_JSON_BYTES} bytes")
        try:
            return json_object(raw.decode("utf-8-sig"))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error

    def data_files(self) -> list[Path]:
        """The files that the state names, ready to be opened: right in the folder, nowhere else. Raises SpecError
        `source.forbidden`, too."""
        paths = self._named(self.json(STATE))
        fetched = self._shelf.fetch(paths, self._limits)
        self.held.append(fetched.held)
        return list(fetched.paths)

    def _named(self, state: Mapping[str, Any]) -> list[Path]:
        if any(state.get(key) for key in ("_indices_files", "_indices_data_files")):
            raise source_error(
                "source.format",
                "the data set is a selection of rows of another one",
                hint="call flatten_indices() before save_to_disk",
            )
        told = state.get("_data_files")
        names = [entry.get("filename") if isinstance(entry, dict) else entry for entry in told or ()]
        fits = isinstance(told, list) and 0 < len(names) <= _MOST_FILES
        if not fits or len(set(map(str, names))) < len(names):
            many = f"more than {_MOST_FILES}"
            raise ValueError(f"{STATE} does not name the data's files, or {many}, or one of them twice")
        bad = [str(name) for name in names if not _is_plain(name)]
        if bad:
            raise source_error(
                "source.forbidden",
                f"{STATE} names files that are not right in the folder ({escaped(bad[0])})",
                hint="save the data set again; its files lie beside its state.json",
                count=len(bad),
                examples=tuple(map(escaped, bad[:EXAMPLES])),
            )
        paths = [resolve(str(name), self._roots, base=self._folder) for name in names]
        missing = [str(name) for name, path in zip(names, paths, strict=True) if not self._files.is_file(path)]
        if missing:
            raise source_error(
                "source.not_found",
                f"the data set lacks the file {missing[0]!r}",
                hint="copy the folder as a whole",
                count=len(missing),
                examples=tuple(missing[:EXAMPLES]),
            )
        return paths


def _is_plain(name: object) -> bool:
    return isinstance(name, str) and "/" not in name and name not in ("", ".", "..") and refusal(name) is None
