"""parquet: judged by its headers, then read column by column in batches, so that no Arrow table is ever whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from core.data.problems import EXAMPLES
from core.data.sources.arrow import Pool, column_of, header_of, plain, release, storage_of
from core.data.sources.base import Limits, Source, source_error
from core.data.sources.binary import damage_named
from core.data.sources.gathering import Gathering
from core.data.sources.parquet_layout import Cost, cost_of, read_layout
from core.data.table import Column, Table

_BATCH_ROWS = 16_384
_BATCH_BYTES = 64 * 2**20
"""Of values as they are decoded; a batch has fewer rows where they are long."""
_BUFFER_BYTES = 2**20
"""Of a file that are read at once; without it, Arrow takes a row group's whole column."""


class ParquetSource(Source):
    """A parquet file; only the wanted columns are ever decompressed."""

    def __init__(self, path: Path, base: Path, limits: Limits) -> None:
        with damage_named("parquet"):
            with path.open("rb") as file:
                self._leaves = read_layout(file)
            opened = _open(path, ())
            schema, rows = opened.schema_arrow, opened.metadata.num_rows
            opened.close()
        if rows == 0:
            raise source_error("source.empty", "the manifest has no rows", hint="write one row per sample")
        if rows > limits.rows:
            detail = f"the manifest has {rows} rows; at most {limits.rows} are read"
            raise source_error("source.too_large", detail, hint="train on a part of it")
        twice = sorted(name for name, count in Counter(schema.names).items() if count > 1)
        if twice:
            raise source_error(
                "source.malformed",
                f"the schema names {', '.join(map(repr, twice[:EXAMPLES]))} more than once",
                hint="column names must differ",
                count=len(twice),
                examples=tuple(twice[:EXAMPLES]),
            )
        self._limits = limits
        super().__init__(path, base, {field.name: header_of(storage_of(field.type)) for field in schema}, rows)
        self.costly |= {name for name, header in self.headers.items() if header.kind == "file"}

    def read(self, names: Collection[str]) -> Table:
        """See `Source.read`."""
        keep = [name for name in names if name in self.headers and self.headers[name].kind != "unsupported"]
        with damage_named("parquet"):
            costs = self._costs(keep)
            return self._table({name: self._column(name, costs[name]) for name in keep})

    def _costs(self, names: list[str]) -> dict[str, dict[str, Cost]]:
        """Column -> leaf -> what it unfolds to; refused if that is too much, before anything is decoded."""
        costs: dict[str, dict[str, Cost]] = {name: {} for name in names}
        with self.path.open("rb", buffering=0) as file:
            for leaf in self._leaves:
                if leaf.root in costs:
                    costs[leaf.root][leaf.path] = cost_of(file, leaf)
        total = sum(cost.bytes for leaves in costs.values() for cost in leaves.values())
        if total > self._limits.array_bytes:
            raise self._too_large()
        return costs

    def _column(self, name: str, costs: dict[str, Cost]) -> Column:
        gathering = Gathering(self.headers[name], self.rows)
        pools: dict[str, Pool] = {}
        unfolded = 0
        most = min(cost.most(self._limits.array_bytes) for cost in costs.values())
        for piece in self._batches(name, costs):
            piece.validate(full=True)  # Arrow takes codes of a dictionary as they are in the file
            # What is shared was judged before. What is not may be coded by a dictionary in part, or as differences.
            unfolded += 0 if all(cost.shared for cost in costs.values()) else piece.nbytes
            if unfolded > most:
                raise self._too_large()
            gathering.add(column_of(piece, pools))
        return gathering.finish()

    def _batches(self, name: str, costs: dict[str, Cost]) -> Iterator[Any]:
        """One column's values, some rows at a time.

        Where all pages refer to a dictionary, so does what is yielded: a long text that a million rows share is there
        once. Where only some do, Arrow would gather a row group's texts into one dictionary, anew for every batch;
        they are unfolded, few rows at a time. (Not in lists, where a single row may have a million texts.)
        """
        shared = [path for path, cost in costs.items() if cost.shared]
        widest = max((cost.widest for cost in costs.values() if not cost.shared), default=0)
        usual = sum(cost.bytes for cost in costs.values()) // self.rows
        rows = max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(widest, usual, 1)))
        opened = _open(self.path, shared)
        try:
            batches = opened.iter_batches(batch_size=rows, columns=[name], use_threads=False)
            pieces = (plain(batch.column(name)) for batch in batches)
            yield from pieces if shared else _joined(pieces)
        finally:
            opened.close()
            release()

    def _too_large(self) -> Exception:
        return source_error(
            "source.too_large",
            f"its columns take more than the {self._limits.array_bytes} bytes that are read",
            hint="leave out columns that are not needed, or write media as files of their own",
        )


def _open(path: Path, shared: Collection[str]) -> Any:
    import pyarrow.parquet as pq

    # `pre_buffer` would hold all row groups of the column at once.
    return pq.ParquetFile(path, read_dictionary=list(shared) or None, buffer_size=_BUFFER_BYTES, pre_buffer=False)


def _joined(pieces: Iterator[Any]) -> Iterator[Any]:
    """Pieces of few rows put together, up to a batch's usual rows or bytes: it is faster so."""
    import pyarrow as pa

    held: list[Any] = []
    rows = size = 0
    for piece in pieces:
        held.append(piece)
        rows, size = rows + len(piece), size + piece.nbytes
        if rows >= _BATCH_ROWS or size >= _BATCH_BYTES:
            yield pa.concat_arrays(held)
            held, rows, size = [], 0, 0
    if held:
        yield pa.concat_arrays(held)
