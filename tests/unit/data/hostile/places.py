"""Paths that lead out of the root, wherever a path can stand. What lies outside may be there or not."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.unit.data.builders import grey
from tests.unit.data.hostile.cases import NUMBERS, Case, Spec, manifest, media, rows_with, spec, write_rows

OUTSIDE = "outside"
"""A folder beside the root; `secret.png` in it is there only where a test says so."""

PATHS = {
    "up": "../outside/secret.png",
    "far up": "a/b/../../../outside/secret.png",
    "up in the middle": "good/../../outside/secret.png",
    "absolute": "/etc/passwd",
    "encoded dots": "%2e%2e/outside/secret.png",
    "encoded slash": "..%2Foutside%2Fsecret.png",
    "encoded NUL": "secret.png%00.png",
    "NUL": "../outside/secret.png\0.png",
    "line feed": "good.png\n../outside",
    "backslashes": "..\\outside\\secret.png",
    "file scheme": "file:///etc/passwd.png",
    "http scheme": "http://127.0.0.1:1/secret.png",
    "unknown root": "models://secret.png",
    "root and up": "data://../outside/secret.png",
    "half a surrogate": "\ud800.png",
    "too long": "a/" * 1500 + "secret.png",
    "link": "link.png",
    "link to a folder": "linked/secret.png",
    "link in a chain": "chain.png",
}
CODES = {name: "source.malformed" if name == "half a surrogate" else "source.forbidden" for name in PATHS}
"""Half a surrogate is no Unicode, and never becomes a cell."""


def links(data: Path) -> None:
    """Links that lead out of the root, and `good.png`."""
    outside = data.parent / OUTSIDE
    (data / "good.png").write_bytes(grey(7))
    (data / "link.png").symlink_to(outside / "secret.png")
    (data / "linked").symlink_to(outside)
    (data / "chain.png").symlink_to("link.png")


def _in_a_manifest(path: str) -> Callable[[Path], Spec]:
    def build(data: Path) -> Spec:
        links(data)
        write_rows(data / "t.jsonl", rows_with([path, "good.png"]))
        return manifest("t.jsonl", NUMBERS, media("image"))

    return build


def _in_a_parquet_struct(path: str) -> Callable[[Path], Spec]:
    def build(data: Path) -> Spec:
        links(data)
        rows = [{**row, "m": {"bytes": None, "path": row["m"]}} for row in rows_with([path, "good.png"])]
        kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
        table = pa.Table.from_pylist(rows).drop_columns("m")
        pq.write_table(table.append_column("m", pa.array([row["m"] for row in rows], kind)), data / "t.parquet")
        return manifest("t.parquet", NUMBERS, media("image"))

    return build


def _in_metadata(path: str) -> Callable[[Path], Spec]:
    def build(data: Path) -> Spec:
        names = [path, *(f"{number}.png" for number in range(15))]
        (data / "folder").mkdir()
        for name in names[1:]:
            (data / "folder" / name).write_bytes(grey(7))
        rows = [{**row, "file_name": row.pop("m")} for row in rows_with(names)]
        write_rows(data / "folder" / "metadata.jsonl", rows)
        return spec({"type": "folder", "uri": "data://folder"}, NUMBERS, media("image", "image"))

    return build


def _folder_with_a_link(to: str) -> Callable[[Path], Spec]:
    def build(data: Path) -> Spec:
        for label in "ab":
            (data / "folder" / label).mkdir(parents=True)
            (data / "folder" / label / "1.png").write_bytes(grey(7))
        (data / "folder" / "a" / "2.png").symlink_to(data.parent / OUTSIDE / to)
        return spec({"type": "folder", "uri": "data://folder"}, NUMBERS, media("image", "image"))

    return build


def _looping(data: Path) -> Spec:
    (data / "folder" / "a").mkdir(parents=True)
    (data / "folder" / "a" / "again").symlink_to(data / "folder")
    return spec({"type": "folder", "uri": "data://folder"}, NUMBERS, media("image", "image"))


def _source(uri: str, kind: str = "manifest", **more: str) -> Callable[[Path], Spec]:
    def build(data: Path) -> Spec:
        links(data)
        write_rows(data / "t.csv", rows_with(["good.png"]))
        os.symlink(data.parent / OUTSIDE / "secret.csv", data / "out.csv")
        return spec({"type": kind, "uri": uri, **more}, NUMBERS, media("image"))

    return build


def _part(name: str) -> Callable[[Path], Spec]:
    def build(data: Path) -> Spec:
        links(data)
        write_rows(data / "t.csv", rows_with(["good.png"]))
        split = {"method": "files", "train": "t.csv", "test": name}
        return spec({"type": "manifest", "uri": "data://"}, NUMBERS, media("image"), split=split)

    return build


CASES = [
    *(Case(name=f"manifest: {name}", build=_in_a_manifest(path), codes=(CODES[name],)) for name, path in PATHS.items()),
    *(
        Case(name=f"parquet: {name}", build=_in_a_parquet_struct(path), codes=(CODES[name],), by="prepare")
        for name, path in PATHS.items()
        if name != "half a surrogate"
    ),
    *(
        Case(name=f"metadata: {name}", build=_in_metadata(path), codes=(CODES[name],))
        for name, path in PATHS.items()
        if "link" not in name
    ),
    *(
        Case(name=f"source: {name}", build=_source(uri, **more), codes=("source.forbidden",))
        for name, uri, more in (
            ("up", "data://../outside/secret.csv", {}),
            ("file", "file:///etc/passwd", {}),
            ("no scheme", "/etc/passwd", {}),
            ("encoded", "data://%2e%2e/outside/secret.csv", {}),
            ("link", "data://out.csv", {}),
            ("base", "data://t.csv", {"base_uri": "data://../outside"}),
            ("base in a link", "data://t.csv", {"base_uri": "data://linked"}),
            ("arrays", "data://../outside/secret.npz", {"kind": "arrays"}),
            ("folder", "data://linked", {"kind": "folder"}),
            ("shards", "data://../outside/*.tar", {"kind": "webdataset"}),
            ("shards in braces", "data://{t,../outside/secret}.tar", {"kind": "webdataset"}),
            ("shards in a link", "data://linked/*.tar", {"kind": "webdataset"}),
        )
    ),
    *(
        Case(name=f"part: {name}", build=_part(text), codes=("source.forbidden",))
        for name, text in (("up", "../outside/secret.csv"), ("absolute", "/etc/passwd"), ("link", "linked/secret.csv"))
    ),
    Case(name="folder: link to a file", build=_folder_with_a_link("secret.png"), codes=("source.forbidden",)),
    Case(name="folder: link to a folder", build=_folder_with_a_link(""), codes=("source.forbidden",)),
    Case(name="folder: loop", build=_looping, codes=("source.forbidden",)),
]


def with_secrets(folder: Path) -> None:
    """Put what a thief would like beside the root of a case."""
    outside = folder / OUTSIDE
    outside.mkdir()
    (outside / "secret.png").write_bytes(grey(9))
    table = io.StringIO("label,split,x,c,m\na,train,1,p,good.png\nb,test,2,q,good.png\n").getvalue()
    (outside / "secret.csv").write_text(table)
    (outside / "secret.tar").write_bytes(bytes(1024))
    (outside / "secret.npz").write_bytes(b"PK")
    (outside / "note.json").write_text(json.dumps({"secret": True}))
