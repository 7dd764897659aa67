"""Sources: a manifest (csv, tsv, jsonl, parquet) or an npz, opened once and read into NumPy columns.

`open_source` looks at the headers; `Source.read` loads columns. Both raise DataError whose issues say what is wrong:
`source.not_found`, `source.unreadable`, `source.format`, `source.empty`, `source.too_large`, `source.malformed`,
`source.object_array`.
"""

from core.data.sources.base import Limits, Source
from core.data.sources.opening import open_source

__all__ = ["Limits", "Source", "open_source"]
