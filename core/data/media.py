"""From the cells of a media column to files: what is refused, what is missing."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.data.blobs import Blob
from core.data.problems import EXAMPLES, NOT_CHECKED, RowProblem
from core.data.remote import RemoteFiles, Shelf
from core.data.remote.files import LocalFiles
from core.data.uris import MediaFolder, escaped
from core.errors import DataError, Issue, SpecError


@dataclass(slots=True)
class Located:
    """The files of one media column. A row that was not looked at, or has a problem, has no blob."""

    blobs: list[Blob | None]
    problems: list[RowProblem] = field(default_factory=list)
    forbidden: list[int] = field(default_factory=list)
    complete: bool = True
    """Whether every row was looked at."""


def locate_files(
    cells: Sequence[str | Blob],
    base: Path,
    roots: Mapping[str, Path],
    *,
    most: int | None = None,
    deadline: float | None = None,
    store_seconds: float = 0.0,
) -> Located:
    """Find each cell's file below the roots; a cell that is a file itself is taken as it is.

    `most` bounds how many files are looked for (an even sample of the rows), `deadline` (of `time.monotonic`) how
    long; the texts of all cells are judged in any case. Files on an object store are known from listings; one that is
    away is asked again for `store_seconds`, where there is no deadline.

    Raises DataError where an object store does not answer, or refuses.
    """
    shelf = Shelf(roots, None if deadline is None else deadline - time.monotonic(), store_seconds)
    parents: dict[Path, LocalFiles | RemoteFiles | None] = {}
    folder = MediaFolder(base, roots)
    step = 1 if most is None or len(cells) <= most else -(-len(cells) // max(1, most))
    located = Located([None] * len(cells), complete=step == 1)
    for row, cell in enumerate(cells):
        if not isinstance(cell, str):
            located.blobs[row] = cell
            continue
        text = cell.strip()
        if not text:
            located.problems.append(RowProblem(row, "value.missing", "there is no file"))
            continue
        if row % step or (deadline is not None and time.monotonic() > deadline):
            located.complete = False
            if folder.refuses(text):
                located.forbidden.append(row)
            continue
        try:
            path = folder.locate(text)
        except SpecError:
            located.forbidden.append(row)
            continue
        if path.parent not in parents:
            parents[path.parent] = shelf.at(path.parent)
        files = parents[path.parent]
        try:
            blob = None if files is None else files.blob(path)
        except DataError as error:
            if error.code != NOT_CHECKED:
                raise
            files = parents[path.parent] = None  # its listing takes too long
        if files is None:
            located.complete = False
        elif blob is not None:
            located.blobs[row] = blob
        else:
            located.problems.append(RowProblem(row, "file.missing", f"there is no file {text[:200]!r}"))
    return located


def forbidden_issue(
    located: Located, cells: Sequence[str | Blob], samples: Sequence[str], pointer: str
) -> Issue | None:
    """One error for all refused paths of a column; it says nothing of what is at those places."""
    rows = located.forbidden
    if not rows:
        return None
    shown = tuple(f"{samples[row]}: {escaped(str(cells[row]))}" for row in rows[:EXAMPLES])
    return Issue(
        code="source.forbidden",
        detail=f"{len(rows)} paths are refused: they are not below a configured root ({shown[0]})",
        pointer=pointer,
        hint="write paths relative to base_uri, without '..', leading slashes or links that lead elsewhere",
        sample=samples[rows[0]],
        count=len(rows),
        examples=shown,
    )
