"""Data sets as `datasets.save_to_disk` (4.x) writes them, by pyarrow alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
"""How images, sounds and videos are stored."""


def value(dtype: str) -> dict[str, Any]:
    """A plain column's feature."""
    return {"dtype": dtype, "_type": "Value"}


def label(*names: str) -> dict[str, Any]:
    """A class label's feature."""
    return {"names": list(names), "_type": "ClassLabel"}


def listed(feature: Mapping[str, Any]) -> dict[str, Any]:
    """A list's feature."""
    return {"feature": dict(feature), "length": -1, "_type": "List"}


def save_to_disk(
    folder: Path,
    table: pa.Table,
    features: Mapping[str, Any],
    *,
    shards: int = 1,
    batch: int = 1000,
    compression: str | None = None,
    state: Mapping[str, Any] | None = None,
) -> None:
    """Write the folder; `state` overrides keys of state.json."""
    folder.mkdir(parents=True)
    schema = table.schema.with_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    names = [f"data-{number:05d}-of-{shards:05d}.arrow" for number in range(shards)]
    rows = -(-len(table) // shards)
    options = pa.ipc.IpcWriteOptions(compression=compression)
    for number, name in enumerate(names):
        with pa.OSFile(str(folder / name), "wb") as file, pa.ipc.new_stream(file, schema, options=options) as writer:
            writer.write_table(
                table.slice(number * rows, rows).replace_schema_metadata(schema.metadata), max_chunksize=batch
            )
    said = {
        "_data_files": [{"filename": name} for name in names],
        "_fingerprint": "a1b2c3d4e5f60718",
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
        **(state or {}),
    }
    (folder / "state.json").write_text(json.dumps(said, indent=2, sort_keys=True))
    info = {"citation": "", "description": "", "features": features, "homepage": "", "license": ""}
    (folder / "dataset_info.json").write_text(json.dumps(info, indent=2))


def save_dict(folder: Path, parts: Mapping[str, pa.Table], features: Mapping[str, Any], **options: Any) -> None:
    """A DatasetDict: a folder per part."""
    for name, table in parts.items():
        save_to_disk(folder / name, table, features, **options)
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": list(parts)}))
