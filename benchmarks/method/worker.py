"""One data set, one seed, every strategy: a line of JSON per run. `python -m benchmarks.method` starts these."""

from __future__ import annotations

import argparse
import copy
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.method.sets import RANDOM_V, SETS
from benchmarks.method.strategies import RANDOM_V as RANDOM_V_STRATEGIES
from benchmarks.method.strategies import strategies
from core.data.dataset import PreparedData, prepare
from core.events import RunCompleted
from core.spec import JobSpec
from core.training.plan import planned_samples
from core.training.progress import ProgressMeter
from core.training.run import run
from core.training.session import Session

CPU = torch.device("cpu")


def main() -> int:
    """Run what the arguments name; one JSON line per run on standard output."""
    options = _parser().parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    with tempfile.TemporaryDirectory() as scratch:
        for line in _runs(options, Path(scratch)):
            print(json.dumps(line, allow_nan=False), flush=True)
    return 0


def _runs(options: argparse.Namespace, scratch: Path) -> Iterator[dict[str, Any]]:
    data_set = next(found for found in (*SETS, *RANDOM_V) if found.name == options.set)
    base, folder = data_set.spec(options.data, scratch)
    base.pop("blending", None)
    base.pop("training", None)
    base["seed"] = options.seed
    data: PreparedData | None = None
    for name, patch in strategies([modality["name"] for modality in base["dataset"]["modalities"]]):
        wanted = name not in options.skip and (not options.only or name in options.only)
        if not wanted or (data_set in RANDOM_V and name not in RANDOM_V_STRATEGIES):
            continue
        spec = JobSpec.model_validate(copy.deepcopy(base) | patch)
        data = data or prepare(spec, {"data": folder, "models": folder})
        done, weights = _train(spec, data, scratch)
        yield {
            "set": data_set.name,
            "strategy": name,
            "seed": options.seed,
            "answer": done.answer,
            "score": done.test_score,
            "heads": {measured.head: measured.score for measured in done.test},
            "selection": {measured.head: measured.score for measured in done.selection},
            "weights": weights,
            "pool": done.pool,
            "flags": list(done.flags),
            "contributions": {found.modality: found.drop for found in done.contributions},
            "cost": {phase: cost.model_dump(exclude={"seconds"}) for phase, cost in done.cost.items()},
        }


def _train(spec: JobSpec, data: PreparedData, scratch: Path) -> tuple[RunCompleted, list[dict[str, float]]]:
    session = Session(spec, data, CPU)
    meter = ProgressMeter(
        scratch, total=planned_samples(session), done=0, epochs=spec.training.epochs, should_stop=lambda: False
    )
    weights: list[dict[str, float]] = []
    for event in run(session, meter, scratch):
        if event.type == "super_epoch.weights":
            weights.append({head.head: head.weight for head in event.heads})
        if isinstance(event, RunCompleted):
            return event, weights
    raise AssertionError("a run ends with run.completed")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", required=True, choices=[found.name for found in (*SETS, *RANDOM_V)])
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--skip", action="append", default=[])
    return parser


if __name__ == "__main__":
    sys.exit(main())
