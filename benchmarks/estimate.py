"""What one data pass for all M+1 heads saves over a pass for each, as a ratio within one run.

    python -m benchmarks estimate

The numbers that come out are the same bit for bit (`tests/unit/training/estimators/test_exact.py`); only reading and
preparing the data is saved, so the gain is that share of an epoch. Measured on the demo's data, in pairs, in turn.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

import torch
import yaml

from core.data.dataset import prepare
from core.spec import JobSpec
from core.training.estimators import open_estimate
from core.training.session import Session, estimator_of

PAIRS = 5
EXAMPLES = Path(__file__).parents[1] / "examples"


def main() -> None:
    """Measures and prints a table."""
    torch.set_num_threads(1)
    spec = JobSpec.model_validate(yaml.safe_load((EXAMPLES / "digits.yaml").read_text()))
    session = Session(spec, prepare(spec, {"data": EXAMPLES, "models": EXAMPLES}), torch.device("cpu"))
    _seconds(session, [session.heads])
    ratios = [
        _seconds(session, [session.heads]) / _seconds(session, [[head] for head in session.heads]) for _ in range(PAIRS)
    ]
    print("| one estimate epoch of all heads | median | min | max |\n|---|---|---|---|")
    print(f"| one pass / a pass per head (ratio) | {median(ratios):.2f} | {min(ratios):.2f} | {max(ratios):.2f} |\n")


def _seconds(session: Session, groups: Sequence[Sequence[str]]) -> float:
    """Seconds of one epoch of an estimate, its heads trained in these groups."""
    estimates = [
        open_estimate(estimator_of(session.spec), replace(session.ground(), heads=tuple(heads))) for heads in groups
    ]
    began = time.perf_counter()
    for estimate in estimates:
        estimate.epoch(0, lambda _: None)
    return time.perf_counter() - began
