"""What happens to a job spec between parsing and the job service: its data are looked at."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from core.errors import Issue
from core.spec import JobSpec

# `core.data` brings NumPy, Arrow and the decoders: half a second, which the first answers need not wait for. It is
# imported inside the functions; `warm_up` does it early, off the request path.


def find_issues(spec: JobSpec, roots: Mapping[str, Path]) -> tuple[Issue, ...]:
    """Errors and warnings that headers and a bounded look at the files show; never raises for bad data."""
    from core.data.validation import check

    return tuple(check(spec.dataset, spec.holdout, roots, seed=spec.seed))


def warm_up() -> None:
    """Import what `find_issues` needs."""
    import core.data.validation  # noqa: F401


def digest(spec: JobSpec) -> str:
    """Identifies a request's body, whatever its blanks and the order of its keys: `sha256:<hex>`."""
    return f"sha256:{hashlib.sha256(spec.canonical()).hexdigest()}"
