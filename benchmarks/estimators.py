"""What each estimator adds to a whole online run, as a ratio to naive training of as many blended epochs.

    python -m benchmarks estimators

Every round runs naive and all estimators in turn, checkpoints and journal included, the data prepared beforehand; a
ratio is taken within its round, so that whatever else the machine does weighs on both sides; CPU time is told beside
wall time, because it feels other work less. One thread. On the demo's
data, and on avdigits where it is: beside the repository, or where GBLEND_SHARED_DATA says.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
import yaml

from core.data.dataset import PreparedData, prepare
from core.spec import JobSpec
from core.training.drive import commit
from core.training.journal import Journal
from core.training.plan import planned_samples
from core.training.progress import ProgressMeter
from core.training.run import run
from core.training.session import Session

ROUNDS = 3
EPOCHS = 10
SUPER_EPOCHS = {"first": 5, "later": 5}
ESTIMATORS: dict[str, dict[str, Any]] = {
    "exact": {"type": "exact"},
    "exact, subset 0.5": {"type": "exact", "subset": 0.5},
    "gradient": {"type": "gradient"},
    "trajectory": {"type": "trajectory"},
}
TARGETS = {"exact": 2.0, "trajectory": 1.1}
EXAMPLES = Path(__file__).parents[1] / "examples"
SHARED = Path(os.environ.get("GBLEND_SHARED_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")


def main() -> None:
    """Measures and prints a table per data set."""
    torch.set_num_threads(1)
    for name, folder in (("digits", EXAMPLES), ("avdigits", SHARED)):
        if not (folder / name).is_dir():
            print(f"NOT MEASURED: the data set {name!r} is missing; GBLEND_SHARED_DATA is the folder that holds it\n")
            continue
        raw = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text())
        raw["training"]["epochs"] = EPOCHS
        data = prepare(JobSpec.model_validate(raw), {"data": folder, "models": folder})
        _seconds(raw, {"strategy": "naive"}, data)
        ratios: dict[str, list[tuple[float, ...]]] = {estimator: [] for estimator in ESTIMATORS}
        naive = []
        for _ in range(ROUNDS):
            naive.append(_seconds(raw, {"strategy": "naive"}, data))
            for estimator, settings in ESTIMATORS.items():
                blending = {"strategy": "online", "super_epochs": SUPER_EPOCHS, "estimator": settings}
                took = _seconds(raw, blending, data)
                ratios[estimator].append(tuple(mine / its for mine, its in zip(took, naive[-1], strict=True)))
        what = f"{name}, {EPOCHS} epochs, over naive ({median(wall for wall, _ in naive):.1f} s)"
        print(f"| {what} | wall time | min | max | CPU time | min | max | target |")
        print("|---|---|---|---|---|---|---|---|")
        for estimator, found in ratios.items():
            target = f"{TARGETS[estimator]:.2f}" if estimator in TARGETS else ""
            cells = [f"{take(values):.2f}" for values in zip(*found, strict=True) for take in (median, min, max)]
            print(f"| {estimator} | {' | '.join(cells)} | {target} |", flush=True)
        print()


def _seconds(raw: dict[str, Any], blending: dict[str, Any], data: PreparedData) -> tuple[float, float]:
    """Wall time and CPU time of a whole run in a folder of its own."""
    spec = JobSpec.model_validate(raw | {"blending": blending})
    with tempfile.TemporaryDirectory() as folder:
        began, worked = time.perf_counter(), time.process_time()
        session, run_dir = Session(spec, data, torch.device("cpu")), Path(folder)
        meter = ProgressMeter(
            run_dir,
            total=planned_samples(session),
            done=0,
            epochs=spec.training.epochs,
            should_stop=lambda: False,
        )
        journal = Journal(run_dir)
        for event in run(session, meter, run_dir):
            commit(session, journal, event, run_dir)
        return time.perf_counter() - began, time.process_time() - worked
