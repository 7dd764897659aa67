"""`gblend init`: a commented spec from a look at the data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from gblend_client.cli import output, writing
from gblend_client.cli.session import Json, Session, Url, open_session
from gblend_client.dataset_types import DatasetInference
from gblend_client.errors import InvalidInput, Validation

_SCHEME = "data://"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(init)


def init(
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH",
            help="A table, a folder, arrays or shards: data://clips/manifest.csv, or a path whose end lies below data://.",
        ),
    ],
    target: Annotated[
        str | None, typer.Option("--target", help="The column to predict; the likeliest by default.")
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to; by default NAME.yaml here; - for standard output.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Look at data and write a commented spec: source, target, modalities, split, groups."""
    with open_session(url, as_json) as session:
        uri, found = _look(session, path, target)
        if as_json:
            session.out.data({"uri": uri, **found.raw})
            return
        name = name_of(uri)
        text = writing.commented(found, name=name, uri=uri)
        if str(to) == "-":
            session.out.plain(text)
        else:
            place = to or Path(f"{name}.yaml")
            _write(place, text, force=force)
            session.out.line(str(place))
        for each in found.missing:
            session.out.note(f"still needed: {each}")
        if found.missing:
            raise typer.Exit(output.REFUSED)
        if str(to) != "-":
            session.out.note(f"look it over; then: gblend validate {to or f'{name}.yaml'}")


def _look(session: Session, path: str, target: str | None) -> tuple[str, DatasetInference]:
    """What is found at the first of the places that the path may mean which is there."""
    refused: Validation | None = None
    for uri in places_of(path):
        try:
            return uri, session.gblend.datasets.infer(uri, target=target)
        except Validation as error:
            refused = refused or error
            if not any(item.code == "source.not_found" for item in error.errors):
                raise
    assert refused is not None
    raise refused


def places_of(path: str) -> Iterator[str]:
    """The URIs that a path may mean: itself, or its ends below `data://`, the longest first.

    The service knows its own folders only, not ours; a path on the same machine ends in one that it knows.
    """
    if "://" in path:
        yield path
        return
    parts = [part for part in Path(path).parts if part not in (".", "/")]
    if not parts or ".." in parts:
        raise InvalidInput(f"{path!r} is no place below {_SCHEME}", hint=f"write {_SCHEME}FOLDER/FILE")
    for start in range(len(parts)):
        yield _SCHEME + "/".join(parts[start:])


def name_of(uri: str) -> str:
    """A name for what lies at a URI: the file's, or its folder's where the file is called like everybody's."""
    parts = [part for part in uri.partition("://")[2].split("/") if part]
    stem = Path(parts[-1]).stem if parts else "data"
    if stem.lower() in ("manifest", "data", "train", "metadata", "features") and len(parts) > 1:
        stem = parts[-2]
    return "".join(mark if mark.isalnum() or mark in "-_" else "-" for mark in stem).strip("-") or "data"


def _write(place: Path, text: str, *, force: bool) -> None:
    try:
        with place.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise InvalidInput(f"{place} is there already", hint="--force writes over it, --output names another") from None
    except OSError as error:
        raise InvalidInput(f"cannot write {place}: {error.strerror or error}") from None
