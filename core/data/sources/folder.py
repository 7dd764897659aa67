"""A folder as a table: class folders, or one folder per modality, joined by stem; `metadata.*` honoured.

The names of the files are all that is read here. Links to files count where they lead below a root; links to folders
are refused, and whatever is neither file nor folder (a pipe, a device) is passed over, like names with a leading dot.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from core.data.blobs import Blob, FileBlob, LoosePath
from core.data.problems import EXAMPLES
from core.data.remote import RemoteFiles, Shelf
from core.data.sources.base import Limits, Source, source_error
from core.data.table import Column, ColumnHeader, Table, text_column
from core.data.uris import escaped, is_file, is_folder, refusal, resolve
from core.errors import SpecError

ID, LABEL, FILE_NAME = "id", "label", "file_name"
METADATA = ("metadata.csv", "metadata.tsv", "metadata.jsonl", "metadata.parquet")
_DEEPEST = 16
_TIMED = 256
"""Files after which the clock is looked at."""
_KINDS: dict[str, tuple[str, ...]] = {
    "image": (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"),
    "audio": (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac"),
    "video": (".mp4", ".m4v", ".mkv", ".webm", ".avi", ".mov", ".mpg", ".mpeg", ".m3u8"),
    "text": (".txt",),
}
_KIND_OF = {extension: kind for kind, extensions in _KINDS.items() for extension in extensions}


@dataclass(frozen=True, slots=True)
class Listed:
    """One file below the folder: its place in words, and on the disk."""

    names: tuple[str, ...]
    path: Path | None
    """None for a link that leads nowhere."""
    blob: Blob | None = None
    """Of an object of a store."""

    @property
    def text(self) -> str:
        """The path below the folder."""
        return "/".join(self.names)


@dataclass(slots=True)
class _Sample:
    label: str | None
    cells: dict[str, Blob | LoosePath]


def kind_of_file(name: str) -> str:
    """`image`, `audio`, `video` or `text` by the extension; `file` for all others."""
    return _KIND_OF.get(PurePosixPath(name).suffix.lower(), "file")


class FolderTable(Source):
    """The files below a folder, a row per stem."""

    def __init__(
        self,
        folder: Path,
        layout: str,
        metadata: Source | None,
        files: Sequence[Listed],
        wanted: Collection[str],
    ) -> None:
        by_modality = layout == "modalities" or (layout == "auto" and _names_a_modality(files, wanted))
        samples = _per_modality(files) if by_modality else _per_class(files, flat=metadata is not None)
        self._metadata = metadata
        if metadata is not None:
            self._kept = _rows_of_metadata(metadata, samples, by_modality)
        else:
            self._kept = _rows_of_files(samples, set(wanted) if by_modality else set())
        if not self._kept:
            raise source_error(
                "source.empty",
                "the folder holds no samples",
                hint="put files into class folders (cat/1.png), into folders per modality (rgb/1.png, audio/1.wav), or "
                "name them in metadata.csv",
            )
        super().__init__(folder, folder, self._headers(), len(self._kept))
        self.id_column = ID
        self.costly = frozenset() if metadata is None else metadata.costly

    def read(self, names: Collection[str]) -> Table:
        """See `Source.read`."""
        columns: dict[str, Column] = {}
        if self._metadata is not None:
            columns.update(self._metadata.read([name for name in names if name in self._metadata.headers]).columns)
        for name in names:
            if name in self.headers and name not in columns:
                columns[name] = self._column(name)
        return self._table(columns)

    def digest(self) -> str:
        """SHA-256 over names, labels and columns of all files, and the metadata file; contents are hashed as media."""
        digest = hashlib.sha256()
        for key, sample in self._kept:
            digest.update(repr((key, sample.label, sorted(sample.cells))).encode("utf-8", "surrogatepass"))
        if self._metadata is not None:
            digest.update(self._metadata.digest().encode())
        return digest.hexdigest()

    def _headers(self) -> dict[str, ColumnHeader]:
        headers = {ID: ColumnHeader("text", "string")}
        for _, sample in self._kept:
            for name in sample.cells:
                headers.setdefault(name, ColumnHeader("file", "files"))
            if sample.label is not None:
                headers.setdefault(LABEL, ColumnHeader("text", "string"))
        if self._metadata is None:
            return headers
        twice = sorted(
            name for name in self._metadata.headers if headers.get(name, ColumnHeader("text", "")).kind == "file"
        )
        if twice:
            raise source_error(
                "source.malformed",
                f"the metadata have a column {twice[0]!r}, which is what the files are called",
                hint="call it something else",
                count=len(twice),
                examples=tuple(twice[:EXAMPLES]),
            )
        return {**headers, **self._metadata.headers}

    def _column(self, name: str) -> Column:
        if name == ID:
            return text_column([key for key, _ in self._kept])
        if name == LABEL:
            return text_column([sample.label or "" for _, sample in self._kept])
        values = np.empty(len(self._kept), dtype=object)
        values[:] = [sample.cells.get(name) for _, sample in self._kept]
        missing = np.array([value is None for value in values], dtype=np.bool_)
        return Column(self.headers[name], values, missing)


def list_folder(folder: Path, roots: Mapping[str, Path], limits: Limits, shelf: Shelf) -> list[Listed]:
    """Every file below the folder, sorted by name. Raises DataError `source.too_large`, `source.forbidden`."""
    files = shelf.at(folder)
    if isinstance(files, RemoteFiles):
        return _list_remote(folder, files, limits)
    found: list[Listed] = []
    forbidden: list[str] = []
    waiting: list[tuple[tuple[str, ...], Path]] = [((), folder)]
    while waiting:
        names, place = waiting.pop()
        with os.scandir(place) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                here = (*names, entry.name)
                if refusal("/".join(here)) is not None:
                    forbidden.append("/".join(here))
                elif entry.is_symlink():
                    _follow("/".join(here), folder, roots, found, forbidden)
                elif entry.is_dir():
                    waiting.append((here, Path(entry.path)))
                elif entry.is_file():
                    found.append(Listed(here, Path(entry.path)))
                if len(found) % _TIMED == 0:
                    limits.check_time()
                _check_extent(len(found) + len(forbidden) + len(waiting), here, limits)
    return _sorted(found, forbidden)


def _list_remote(folder: Path, files: RemoteFiles, limits: Limits) -> list[Listed]:
    """The same from listings, one per folder."""
    found: list[Listed] = []
    forbidden: list[str] = []
    waiting: list[tuple[str, ...]] = [()]
    while waiting:
        names = waiting.pop()
        place = folder.joinpath(*names)
        listing = files.listing(place)
        for name in (*listing.files, *listing.folders):
            here = (*names, name)
            if name.startswith("."):
                continue
            if refusal("/".join(here)) is not None:
                forbidden.append("/".join(here))
            elif name in listing.folders:
                waiting.append(here)
            else:
                found.append(Listed(here, place / name, files.blob(place / name)))
            _check_extent(len(found) + len(forbidden) + len(waiting), here, limits)
    return _sorted(found, forbidden)


def _check_extent(count: int, names: tuple[str, ...], limits: Limits) -> None:
    if count > limits.files or len(names) > _DEEPEST:
        raise source_error(
            "source.too_large",
            f"the folder holds more than {limits.files} files, or folders more than {_DEEPEST} deep",
            hint="write them into tar shards (webdataset), or a manifest",
        )


def _sorted(found: list[Listed], forbidden: list[str]) -> list[Listed]:
    if forbidden:
        shown = tuple(map(escaped, sorted(forbidden)))
        raise source_error(
            "source.forbidden",
            f"{len(forbidden)} entries of the folder are refused ({shown[0]})",
            hint="links must lead to files below a configured root; names hold no control characters or backslashes",
            count=len(forbidden),
            examples=shown[:EXAMPLES],
        )
    return sorted(found, key=lambda file: file.names)


def _follow(text: str, folder: Path, roots: Mapping[str, Path], found: list[Listed], forbidden: list[str]) -> None:
    """A link counts as the file that it leads to; one that leads out or to a folder (perhaps in a loop) is refused."""
    try:
        path = resolve(text, roots, base=folder)
    except SpecError:
        forbidden.append(text)
        return
    if is_folder(path):
        forbidden.append(text)
    else:
        found.append(Listed(tuple(text.split("/")), path if is_file(path) else None))


def _names_a_modality(files: Sequence[Listed], wanted: Collection[str]) -> bool:
    return any(len(file.names) > 1 and file.names[0] in wanted for file in files)


def _per_class(files: Sequence[Listed], *, flat: bool) -> dict[str, _Sample]:
    """Stem below the folder -> the files of that stem, by kind; the class is the folder that a file lies in.

    Files right in the folder have none; they count where metadata may give them one (`flat`).
    """
    samples: dict[str, _Sample] = {}
    for file in files:
        if file.text in METADATA or (len(file.names) == 1 and not flat):
            continue
        label = file.names[-2] if len(file.names) > 1 else None
        _add(samples, _key(file.names), label, kind_of_file(file.names[-1]), file)
    return samples


def _per_modality(files: Sequence[Listed]) -> dict[str, _Sample]:
    """Stem below the modality's folder -> one file per modality; the class is a folder below the modality's, if any."""
    samples: dict[str, _Sample] = {}
    for file in files:
        if len(file.names) == 1:
            continue
        below = file.names[1:]
        _add(samples, _key(below), below[-2] if len(below) > 1 else None, file.names[0], file)
    return samples


def _key(names: tuple[str, ...]) -> str:
    return "/".join((*names[:-1], PurePosixPath(names[-1]).stem))


def _add(samples: dict[str, _Sample], key: str, label: str | None, column: str, file: Listed) -> None:
    sample = samples.setdefault(key, _Sample(label, {}))
    if column in sample.cells:
        raise source_error(
            "source.ambiguous",
            f"two files are the {column!r} of the sample {key!r}, one of them {file.text!r}",
            hint="files of one stem in one folder are one sample; rename one of them",
            examples=(file.text,),
        )
    sample.cells[column] = file.blob or (LoosePath(file.text) if file.path is None else FileBlob(file.path))


def _rows_of_files(samples: Mapping[str, _Sample], wanted: set[str]) -> list[tuple[str, _Sample]]:
    """A row per sample, sorted by key. Of a folder per modality only those that are `wanted` add rows."""
    named = {name for sample in samples.values() for name in sample.cells} & wanted
    return [(key, sample) for key, sample in sorted(samples.items()) if not named or named & set(sample.cells)]


def _rows_of_metadata(metadata: Source, samples: Mapping[str, _Sample], by_modality: bool) -> list[tuple[str, _Sample]]:
    """A row per line of the metadata: its `file_name` (a path below the folder, or a stem) or `id` finds the files."""
    by = FILE_NAME if FILE_NAME in metadata.headers else ID
    if by not in metadata.headers:
        raise source_error(
            "source.malformed",
            f"the metadata have neither a column {FILE_NAME!r} nor {ID!r}",
            hint="file_name holds the path of a file below the folder, id its stem",
        )
    cells = metadata.read([by]).columns[by].text()
    bad = [cell for cell in cells if refusal(cell.strip()) is not None]
    if bad:
        shown = tuple(map(escaped, bad[:EXAMPLES]))
        raise source_error(
            "source.forbidden",
            f"{len(bad)} paths of the metadata are refused ({shown[0]})",
            hint="write paths relative to the folder, without '..' or leading slashes",
            count=len(bad),
            examples=shown,
        )
    return [_row_of(cell.strip().removeprefix("./"), samples, by_modality) for cell in cells]


def _row_of(cell: str, samples: Mapping[str, _Sample], by_modality: bool) -> tuple[str, _Sample]:
    if cell in samples:
        return cell, samples[cell]
    names = tuple(cell.split("/"))
    key = _key(names[1:] if by_modality and len(names) > 1 else names)
    if key in samples:
        return key, samples[key]
    column = names[0] if by_modality else kind_of_file(cell)
    return key, _Sample(None, {column: LoosePath(cell)} if cell else {})


def metadata_of(files: Sequence[Listed]) -> Listed | None:
    """The metadata file right in the folder, if there is one. Raises DataError where there are two."""
    found = [file for file in files if file.text in METADATA]
    if len(found) > 1:
        raise source_error(
            "source.ambiguous",
            f"the folder has {' and '.join(file.text for file in found)}",
            hint="keep one metadata file",
            examples=tuple(file.text for file in found),
        )
    return found[0] if found else None
