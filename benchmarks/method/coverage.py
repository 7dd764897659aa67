"""How often does a weight's 90 % interval cover the mean over redraws of V?

    python -m benchmarks.method.coverage --data ../shared/data      # writes coverage.json and coverage.md

Two experiments per data set and estimator, each with the estimate of the first super-epoch, from the initial model, and
with the weights, errors and strata that a run would have:

- *V redrawn*: the heads' steps are made once (`exact` trains copies, `gradient` takes a few batches), on half of the
  training rows. The other half is the pool that V is drawn from, by strata as a run draws it, 0.15 of the training
  rows, *with replacement*. So the pool stands for a population without end, which is what the interval
  claims to know V of. Drawn without replacement, V's of 0.3 of the pool would share rows; their spread would be too
  small by `sqrt(1 - 0.3) = 0.84`, and the best 90 % interval would hold their mean in 95 % of the cases.
- *everything redrawn*: V is drawn again from the training rows (`holdout.seed`), so T changes with it and the steps
  are made again. The interval knows nothing of that second part; and V is 0.15 of rows that stay the same, which by
  itself makes the spread smaller by `sqrt(1 - 0.15) = 0.92`.

Besides the plain policies there is `recipe`: `shrunk` with the ceiling and the floors that a spec has by default.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.method.sets import SETS, DataSet
from core.blend import HeadLosses, decide
from core.data.dataset import prepare
from core.spec import JobSpec, OfflineBlending
from core.training.decisions import steering
from core.training.estimators import strata_of
from core.training.session import Session

HERE = Path(__file__).resolve().parent
CPU = torch.device("cpu")
EPOCHS = 5
FRACTION, POOL = 0.15, 0.5
"""Of the training rows: V, and the pool that V is drawn from in the first experiment."""
ESTIMATORS = ("exact", "gradient")
STEERINGS = {
    "shrunk": {"policy": "shrunk", "floor": 0.0, "cap_noise": False},
    "paper": {"policy": "paper", "floor": 0.0, "cap_noise": False},
    "recipe": {},
}
"""What a spec says of how estimates become weights."""
Interval = tuple[float, float, float]
"""Weight, low, high."""
Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Seen:
    """What one estimate shows, and the strata (None: none) by which its rows of T [T] and V [V] were drawn."""

    losses: dict[str, HeadLosses]
    train_strata: Codes | None
    holdout_strata: Codes | None
    train_population: int
    """Rows of T, of which those of the losses may be a sample (T')."""


def main() -> int:
    """Run both experiments on every set that is present and has no groups; print and write the table."""
    options = _parser().parse_args()
    torch.set_num_threads(1)
    found: list[dict[str, Any]] = []
    for data_set in SETS:
        if options.set and data_set.name not in options.set:
            continue
        if not (options.data / data_set.folder).is_dir():
            print(f"coverage: NOT RUN: {data_set.name!r} is not below the data folder", file=sys.stderr)
            continue
        with tempfile.TemporaryDirectory() as scratch:
            base, folder = data_set.spec(options.data, Path(scratch))
            if base.get("holdout", {}).get("group_by"):
                continue
            for estimator, (experiment, draw) in product(ESTIMATORS, EXPERIMENTS.items()):
                redraws = options.redraws * (CHEAP if draw is _only_v else 1)
                kept = list(draw(base, folder, redraws, estimator))
                for policy, steered in STEERINGS.items():
                    draws = [_intervals(each, steered, redraw) for redraw, each in enumerate(kept)]
                    found.append(_summary(data_set, estimator, policy, experiment, draws))
                print(f"coverage: {data_set.name}, {estimator}, {experiment}", file=sys.stderr)
        options.out.write_text(json.dumps({"redraws": options.redraws, "rows": found}, indent=1) + "\n")
        options.out.with_suffix(".md").write_text(_markdown(found, options.redraws))
    print(_markdown(found, options.redraws))
    return 0


def _only_v(base: Mapping[str, Any], folder: Path, redraws: int, estimator: str) -> Iterator[Seen]:
    """One estimate with half of the training rows held out; V's are drawn from that pool, again and again."""
    pool = _seen(base, folder, estimator, fraction=POOL, seed=0)
    rows = len(next(iter(pool.losses.values())).holdout_before)
    strata = np.zeros(rows, dtype=np.int64) if pool.holdout_strata is None else pool.holdout_strata
    members = [np.flatnonzero(strata == code) for code in np.unique(strata)]
    rng = np.random.default_rng(0)
    for _ in range(redraws):
        chosen = np.concatenate([rng.choice(of, size=max(1, round(FRACTION / POOL * len(of)))) for of in members])
        drawn = {
            head: HeadLosses(
                train_before=found.train_before,
                train_after=found.train_after,
                holdout_before=found.holdout_before[chosen],
                holdout_after=found.holdout_after[chosen],
            )
            for head, found in pool.losses.items()
        }
        yield Seen(drawn, pool.train_strata, strata[chosen], pool.train_population)


def _everything(base: Mapping[str, Any], folder: Path, redraws: int, estimator: str) -> Iterator[Seen]:
    for redraw in range(redraws):
        yield _seen(base, folder, estimator, fraction=FRACTION, seed=redraw)


CHEAP = 8
"""So many more redraws where nothing is trained for one: the window of 85 to 95 % is narrow."""
EXPERIMENTS = {"V redrawn": _only_v, "everything redrawn": _everything}


def _seen(base: Mapping[str, Any], folder: Path, estimator: str, *, fraction: float, seed: int) -> Seen:
    """Per-sample losses of every head before and after its steps from the same initial model; `exact`: `EPOCHS` epochs
    alone, `gradient`: the batches that a spec has by default."""
    blending = {"strategy": "offline", "estimator": {"type": estimator}}
    spec = JobSpec.model_validate(
        {**base, "holdout": {"fraction": fraction, "seed": seed}, "blending": blending, "training": {"epochs": EPOCHS}}
    )
    session = Session(spec, prepare(spec, {"data": folder, "models": folder}), CPU)
    estimate = session.open_estimate()
    estimate.begin(session.live_losses)
    for epoch in range(estimate.epochs):
        estimate.epoch(epoch, lambda _samples: None)
    found, _spent = estimate.finish(lambda _samples: None)
    data = session.data
    return Seen(
        dict(found.losses),
        strata_of(data, data.split.train, found.train),
        strata_of(data, data.split.holdout, found.holdout),
        len(data.split.train),
    )


def _intervals(seen: Seen, steered: Mapping[str, Any], seed: int) -> dict[str, Interval]:
    """As a run decides."""
    decision = decide(
        seen.losses,
        steering(OfflineBlending.model_validate(steered), tuple(seen.losses)),
        previous=None,
        seed=seed,
        train_strata=seen.train_strata,
        holdout_strata=seen.holdout_strata,
        train_population=seen.train_population,
    )
    return {name: (head.weight, head.low, head.high) for name, head in decision.heads.items()}


def _summary(
    data_set: DataSet, estimator: str, policy: str, experiment: str, draws: list[dict[str, Interval]]
) -> dict[str, Any]:
    heads = {}
    for head in draws[0]:
        centre = mean(draw[head][0] for draw in draws)
        heads[head] = {
            "mean": centre,
            "sd": float(np.std([draw[head][0] for draw in draws], ddof=1)),
            "covered": mean(float(draw[head][1] <= centre <= draw[head][2]) for draw in draws),
        }
    said = {"set": data_set.name, "estimator": estimator, "policy": policy, "experiment": experiment}
    return {**said, "redraws": len(draws), "heads": heads}


def _markdown(rows: list[dict[str, Any]], redraws: int) -> str:
    lines = [
        "Share of redraws whose 90 % interval covers the mean of the redraws' weights, in percent. Redraws, and a",
        f"head's standard error in points: {CHEAP * redraws} of V, {_error(CHEAP * redraws):.1f}; {redraws} of "
        f"everything, {_error(redraws):.1f}.\n",
        "| data set | estimator | policy | redrawn | all weights that vary | by head (mean weight ± sd: covered) |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        each = "; ".join(
            f"{head} {found['mean']:.2f} ± {found['sd']:.2f}: {100 * found['covered']:.0f}"
            for head, found in row["heads"].items()
        )
        lines.append(f"| {row['set']} | {' | '.join(_kind(row))} | {_overall([row])} | {each} |")
    lines += [
        f"| all | {' | '.join(kind)} | {_overall([row for row in rows if _kind(row) == kind])} | |"
        for kind in sorted({_kind(row) for row in rows})
    ]
    return "\n".join([*lines, ""])


def _error(redraws: int) -> float:
    return 100.0 * math.sqrt(0.9 * 0.1 / redraws)


def _kind(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["estimator"], row["policy"], row["experiment"]


def _overall(rows: list[dict[str, Any]]) -> str:
    """Over the weights that vary at all: the interval [0, 0] of a head that never gains says nothing."""
    shares = [found["covered"] for row in rows for found in row["heads"].values() if found["sd"] > 0.0]
    return f"{100 * mean(shares):.0f}" if shares else "no weight varies"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.method.coverage",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds the data sets")
    parser.add_argument("--redraws", type=int, default=50)
    parser.add_argument("--set", action="append", default=[], help="only this data set (may be repeated)")
    parser.add_argument("--out", type=Path, default=HERE / "coverage.json")
    return parser


if __name__ == "__main__":
    sys.exit(main())
