"""What one data pass for all M+1 heads saves over a pass for each, as a ratio within one run.

    python -m benchmarks estimate

The numbers that come out are the same bit for bit (`tests/unit/training/test_estimator.py`); only reading and preparing
the data is saved, so the gain is that share of an epoch. Measured on the demo's data, in pairs, in turn.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import time
from pathlib import Path
from statistics import median

import torch
import yaml

from core.data.dataset import prepare
from core.spec import JobSpec
from core.training.estimator import Estimate
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


def _seconds(session: Session, groups: list[list[str]] | list[tuple[str, ...]]) -> float:
    """Seconds of one epoch of an estimate, its heads trained in these groups."""
    estimates = [
        Estimate(
            session.live,
            heads,
            estimator=estimator_of(session.spec),
            training=session.spec.training,
            seed=1,
            device=session.device,
        )
        for heads in groups
    ]
    began = time.perf_counter()
    for estimate in estimates:
        estimate.train_epoch(session.batches.shuffled(session.data.split.train, 1))
    return time.perf_counter() - began
