"""A data set as Hugging Face's `save_to_disk` leaves it: Arrow streams, and what their columns mean beside them.

The files are memory-mapped: nothing of a column is read that nobody asks for, and files in cells (images, sounds)
are read where they lie. The library `datasets` itself is not needed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.data.problems import EXAMPLES
from core.data.remote import Shelf
from core.data.sources.arrow import Pool, column_of, plain, storage_of
from core.data.sources.arrow_cells import header_without_views, spans_of, unfolded
from core.data.sources.arrow_messages import rows_of
from core.data.sources.base import Limits, Source, source_error
from core.data.sources.binary import SMALLER, damage_named
from core.data.sources.class_labels import class_names, with_names
from core.data.sources.gathering import Gathering
from core.data.sources.saved_folder import DICT, INFO, STATE, SavedFolder
from core.data.table import Column, ColumnHeader, Table
from core.data.uris import escaped


class HfDiskSource(Source):
    """The rows of all files that `state.json` names, in that order."""

    def __init__(self, folder: Path, base: Path, saved: SavedFolder, limits: Limits) -> None:
        self._limits = limits
        with damage_named("a saved data set"):
            self._names = class_names(saved.json(INFO).get("features"))
            files = saved.data_files()
            self._parts = [_Part.of(path, limits) for path in files]
            headers = self._headers()
        rows = sum(part.rows for part in self._parts)
        if rows == 0:
            raise source_error("source.empty", "the data set has no rows", hint="was it filtered before it was saved?")
        if rows > limits.rows:
            detail = f"the data set has {rows} rows; at most {limits.rows} are read"
            raise source_error("source.too_large", detail, hint="train on a part of it")
        super().__init__(folder, base, headers, rows)
        self.costly |= {name for name, header in self.headers.items() if header.kind == "file"}
        self.files = tuple(files)
        self.held = saved.held

    def read(self, names: Collection[str]) -> Table:
        """See `Source.read`."""
        keep = [name for name in names if name in self.headers and self.headers[name].kind != "unsupported"]
        with damage_named("a saved data set"):
            return self._table({name: self._column(name) for name in keep})

    def digest(self) -> str:
        """SHA-256 over the files' names and bytes, and the names of the classes, in hex."""
        digest = hashlib.sha256(repr(sorted(self._names.items())).encode())
        for path in self.files:
            with path.open("rb") as file:
                digest.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
        return digest.hexdigest()

    def _headers(self) -> dict[str, ColumnHeader]:
        """Of the columns that all files have. Raises DataError where they differ."""
        schema = self._parts[0].schema
        if any(not part.schema.equals(schema) for part in self._parts) or len(set(schema.names)) < len(schema.names):
            raise source_error(
                "source.malformed",
                "the files of the data set do not have the same columns, each once",
                hint="save it again, as a whole, into an empty folder",
            )
        headers = {field.name: header_without_views(storage_of(field.type)) for field in schema}
        return {name: self._named(name, header) for name, header in headers.items()}

    def _named(self, name: str, header: ColumnHeader) -> ColumnHeader:
        """A column of codes is one of texts, of lists of codes one of lists of texts."""
        if name not in self._names:
            return header
        if header.kind not in ("number", "array"):
            raise source_error(
                "source.malformed",
                f"the column {name!r} is {header.dtype}, and no class labels as {INFO} says",
                hint="save the data set again",
            )
        return ColumnHeader("text" if header.kind == "number" else "texts", f"ClassLabel {header.dtype}")

    def _column(self, name: str) -> Column:
        gathering, pools, size = Gathering(self.headers[name], self.rows), dict[str, Pool](), 0
        for part in self._parts:
            with part.batches(name) as (place, pieces):
                for piece in pieces:
                    piece.validate(full=True)  # Arrow takes offsets and codes as they are in the file
                    if self.headers[name].kind == "file":
                        spans = spans_of(piece, place.path, place.address, place.size)
                        if spans is not None:
                            gathering.add(Column(self.headers[name], *spans))
                            continue
                    size += unfolded(piece)
                    if size > self._limits.array_bytes:
                        detail = f"its columns take more than the {self._limits.array_bytes} bytes that are read"
                        raise source_error("source.too_large", detail, hint=SMALLER)
                    codes = name in self._names
                    gathering.add(with_names(piece, self._names[name], name) if codes else column_of(piece, pools))
        return gathering.finish()


@dataclass(frozen=True, slots=True)
class _Mapped:
    """A file's place in memory."""

    path: Path
    address: int
    size: int


@dataclass(frozen=True, slots=True)
class _Part:
    """One file of the data set."""

    path: Path
    rows: int
    schema: Any

    @classmethod
    def of(cls, path: Path, limits: Limits) -> _Part:
        """Its messages are looked at; there may be more files than a process may hold open."""
        import pyarrow as pa

        with pa.memory_map(str(path)) as mapped:
            rows = rows_of(mapped, path.name, limits)
            with pa.ipc.open_stream(mapped) as reader:
                return cls(path, rows, reader.schema.remove_metadata())

    @contextmanager
    def batches(self, name: str) -> Iterator[tuple[_Mapped, Iterator[Any]]]:
        """The arrays of one column; nothing of the others is read."""
        import pyarrow as pa

        options = pa.ipc.IpcReadOptions(included_fields=[self.schema.get_field_index(name)], use_threads=False)
        with pa.memory_map(str(self.path)) as mapped:
            place = _Mapped(self.path, mapped.read_buffer(mapped.size()).address, mapped.size())
            mapped.seek(0)
            with pa.ipc.open_stream(mapped, options=options) as reader:
                yield place, (plain(batch.column(0)) for batch in reader)


def open_hf_disk(
    folder: Path, base: Path, roots: Mapping[str, Path], limits: Limits, shelf: Shelf | None = None
) -> HfDiskSource:
    """The data set in a folder; where there are several, it is told how to name them. Raises DataError."""
    saved = SavedFolder(folder, roots, limits, shelf or Shelf(roots))
    if not saved.has(STATE) and saved.has(DICT):
        with damage_named("a saved data set"):
            splits = saved.json(DICT).get("splits")
        names = [name for name in splits if isinstance(name, str)] if isinstance(splits, list) else []
        shown = ", ".join(map(escaped, names[:EXAMPLES])) or "none"
        raise source_error(
            "source.format",
            f"the folder is a DatasetDict, which holds several data sets: {shown}",
            hint='name them in the split: {"method": "files", "train": "train", "validation": "validation", "test": '
            '"test"}; or name one of them in uri',
            examples=tuple(map(escaped, names[:EXAMPLES])),
        )
    if not saved.has(STATE):
        raise source_error(
            "source.malformed",
            f"the folder holds no {STATE}: no data set was saved there",
            hint="save one with datasets.Dataset.save_to_disk, or name the folder that does",
        )
    return HfDiskSource(folder, base, saved, limits)
