"""`python -m tests.unit.data.hostile.child FOLDER NAME...`: look at cases as the API and the worker would.

A line of JSON per case: who told (`check`, `prepare`, or nobody), every issue, how far memory grew (MiB), which files
outside of the case's root were opened, and which appeared there. FOLDER/NAME holds `spec.json` and the root, `data`.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import Any

import av
import pyarrow.csv
import pyarrow.parquet
import safetensors
import soundfile
import soxr
from PIL import Image

from core.data.dataset import prepare
from core.data.validation import check
from core.errors import DataError, Issue
from core.spec import JobSpec

WARM = (av, pyarrow.csv, pyarrow.parquet, safetensors, soundfile, soxr, Image)
"""Imported before memory is measured."""
MOST_ADDRESSES = 8 * 2**30
EXPECTED = {"spec.json", "data", "outside", "outside-pipe"}
opened: list[str] = []


def main(folder: Path, names: list[str]) -> None:
    """Look at each case; whatever kills this process is the last one's."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_ADDRESSES, MOST_ADDRESSES))
    Image.preinit()
    sys.addaudithook(_note)
    for name in names:
        print(json.dumps({"name": name, **look(folder / name)}), flush=True)


def look(folder: Path) -> dict[str, Any]:
    """Check, and if nothing is wrong, prepare."""
    job = JobSpec.model_validate({"dataset": json.loads((folder / "spec.json").read_text())})
    roots = {"data": folder / "data"}
    opened.clear()
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before = _kilobytes("VmRSS")
    by, issues = "check", _errors(check(job.dataset, job.holdout, roots))
    if not issues:
        by = "prepare"
        try:
            prepare(job, roots)
            by = "nobody"
        except DataError as error:
            issues = _errors(error.issues)
    return {
        "by": by,
        "issues": [issue.to_json() for issue in issues],
        "grown": (_kilobytes("VmHWM") - before) / 1024,
        "outside": sorted({path for path in opened if "/outside" in path}),
        "appeared": sorted({path.name for path in folder.iterdir()} - EXPECTED),
    }


def _errors(issues: Any) -> list[Issue]:
    return [issue for issue in issues if issue.severity == "error"]


def _kilobytes(name: str) -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{name}:")[1].split()[0])


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and isinstance(arguments[0], str):
        opened.append(arguments[0])


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
