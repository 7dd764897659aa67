"""A child of test_large_manifest.py: `python big_check.py ROOT check|inspect|prepare` prints peak and codes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from core.data.dataset import prepare
from core.data.inspection import InspectionLimits, inspect
from core.data.validation import CheckLimits, check
from core.spec import JobSpec


def spec(*, media: bool) -> JobSpec:
    """Numbers and a vector; with `media`, a column of paths too."""
    numbers = [{"name": f"x{index}", "type": "number"} for index in range(8)]
    modalities: list[dict[str, Any]] = [
        {"name": "numbers", "type": "tabular", "columns": numbers},
        {"name": "vector", "type": "embedding", "column": "vector"},
    ]
    if media:
        modalities.append({"name": "picture", "type": "image", "column": "path"})
    return JobSpec.model_validate(
        {
            "dataset": {
                "source": {"type": "manifest", "uri": "data://big.parquet"},
                "sample_id": "id",
                "target": {"column": "label"},
                "modalities": modalities,
                "on_bad_sample": {"action": "drop", "max_fraction": 1.0},
            }
        }
    )


def peak() -> float:
    """MiB of memory that this program has had at most. (`ru_maxrss` would count its parent's before it began.)"""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main(root: str, what: str) -> None:
    """Run, and print one line of JSON."""
    roots = {"data": Path(root)}
    if what == "check":
        job = spec(media=True)
        found: Any = [issue.code for issue in check(job.dataset, job.holdout, roots, limits=CheckLimits(files=1000))]
    elif what == "inspect":
        job = spec(media=True)
        seen = inspect(job.dataset, job.holdout, roots, limits=InspectionLimits(check=CheckLimits(files=1000)))
        found = None if seen.statistics is None else seen.statistics.rows
    else:
        data = prepare(spec(media=False), roots)
        found = {part: len(rows) for part, rows in data.split.as_dict().items()}
    print(json.dumps({"peak": peak(), "found": found}))


if __name__ == "__main__":
    main(*sys.argv[1:])
