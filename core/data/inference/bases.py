"""Which folder the paths in a table are relative to, where it is not the table's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from core.data.inference.columns import Seen
from core.data.inference.modalities import media_kind
from core.data.media import locate_files
from core.data.remote import RemoteFiles, Shelf
from core.data.uris import resolve
from core.errors import SpecError
from core.spec.sources import ManifestSource

_FILES, _FOLDERS = 20, 50
"""Files that are looked for, in so many sub-folders at most."""


def base_uri_of(
    spec: ManifestSource, folder: Path, columns: Sequence[Seen], roots: Mapping[str, Path], *, is_folder: bool
) -> str | None:
    """The first sub-folder of the table's `folder` that has the files which its columns name; None where the folder
    itself has one, or none has. `is_folder`: the spec's URI is that of the folder, not of the table."""
    cells = [
        text
        for seen in columns
        if seen.header.kind == "text" and media_kind(seen) is not None
        for text in [text for text in seen.texts if text][:_FILES]
    ]
    # Folders of an object store would be listed one after the other: the base can be said in the spec.
    if not cells or isinstance(Shelf(roots).at(folder), RemoteFiles) or _has_any(cells, folder, roots):
        return None
    scheme, _, rest = spec.uri.partition("://")
    parts = [part for part in rest.split("/") if part]
    parts = parts if is_folder else parts[:-1]
    below = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    for name in below[:_FOLDERS]:
        uri = f"{scheme}://{'/'.join((*parts, name, ''))}"
        try:
            place = resolve(uri, roots)
        except SpecError:  # a link that leads out
            continue
        if _has_any(cells, place, roots):
            return uri
    return None


def _has_any(cells: Sequence[str], base: Path, roots: Mapping[str, Path]) -> bool:
    return any(blob is not None for blob in locate_files(cells, base, roots).blobs)
