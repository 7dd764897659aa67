"""What loading costs, by type: `prepare` against a loop that does nothing but decode, and what a training step waits.

    python -m benchmarks data

Synthetic samples in a temporary folder (`benchmarks.samples`). In every round the loop and `prepare`, serial and in
processes, run in turn, and a ratio is taken within its round, so that whatever else the machine does weighs on all of
them. The loop opens and decodes each sample with the same libraries to the same values, and knows no hash, no check, no
split, no fit and no store.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import torch

from benchmarks import samples
from core.data.dataset import PreparedData, prepare
from core.data.loading import Loading
from core.processes import cores
from core.spec import JobSpec
from core.training.batches import Batch
from core.training.learner import train_pass
from core.training.session import Session

ROUNDS = 3
TARGET = 0.8
"""`prepare` should make at least so many samples a second of those that the bare loop makes."""


def main() -> None:
    """Measures and prints a table."""
    torch.set_num_threads(1)
    processes = cores()
    head = ("type", "samples", "bare loop, samples/s", "serial", f"{processes} processes", "waiting for batches")
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for kind in samples.KINDS:
        with tempfile.TemporaryDirectory(prefix="gblend-bench-") as folder:
            print(_row(kind, Path(folder), processes), flush=True)
    print(f"\n`prepare`'s rate over the bare loop's: median, least and most of {ROUNDS} rounds; target {TARGET}\n")


def _row(kind: str, folder: Path, processes: int) -> str:
    """One type's line."""
    made = samples.make(kind, folder)
    spec = JobSpec.model_validate(made.spec)
    roots = {"data": folder, "models": folder}
    ways = {"serial": Loading(processes=0), "parallel": Loading(processes=processes)}
    made.bare()  # imports and the disk's cache are nobody's cost
    data = prepare(spec, roots)
    rates: list[float] = []
    ratios: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        bare = _seconds(made.bare)
        rates.append(made.count / bare)
        for way, loading in ways.items():
            ratios[way].append(bare / _seconds(lambda loading=loading: prepare(spec, roots, loading)))  # type: ignore[misc]
    parallel = _told(ratios["parallel"]) if made.is_media else "as serial"
    cells = [kind, str(made.count), f"{median(rates):.0f}", _told(ratios["serial"]), parallel]
    return f"| {' | '.join([*cells, f'{100 * _waiting(spec, data):.1f} %'])} |"


def _told(ratios: list[float]) -> str:
    return f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _waiting(spec: JobSpec, data: PreparedData) -> float:
    """The share of a training pass over T, all of the model's learners, that goes by until its batches are there."""
    session = Session(spec, data, torch.device("cpu"))
    learners = list(session.learners.values())
    train_pass(learners, session.batches.shuffled(data.split.train, 0))
    waited = 0.0

    def timed(batches: Iterator[Batch]) -> Iterator[Batch]:
        nonlocal waited
        while True:
            began = time.perf_counter()
            batch = next(batches, None)
            waited += time.perf_counter() - began
            if batch is None:
                return
            yield batch

    whole = _seconds(lambda: train_pass(learners, timed(session.batches.shuffled(data.split.train, 1))))
    return waited / whole
