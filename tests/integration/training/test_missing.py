"""G-Blend where 40 % of the rows lack a modality: what they are worth to a model that keeps them."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from core.data.dataset import prepare
from core.spec import JobSpec
from core.spec.base import POOL
from core.training.answer import WithPool
from core.training.fine_tune import WithFineTuned
from core.training.plan import planned_samples
from core.training.progress import ProgressMeter
from core.training.run import run
from core.training.session import Session

ROWS, CLASSES = 600, 4
SEEDS = range(4)


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    """`two.parquet`: `left`, long and faint, in every row; `right`, short, in 360 of 600. Train 180, test 360."""
    folder = tmp_path_factory.mktemp("two")
    rng = np.random.default_rng(4)
    y = np.arange(ROWS) % CLASSES
    views = {
        name: (rng.normal(size=(CLASSES, width))[y] * strength + rng.normal(size=(ROWS, width))).astype(np.float32)
        for name, width, strength in (("left", 80, 0.22), ("right", 6, 0.4))
    }
    gone = set(rng.permutation(ROWS)[: ROWS * 2 // 5].tolist())
    columns = {
        "y": y,
        "part": rng.permutation((["train"] * 3 + ["validation"] + ["test"] * 6) * (ROWS // 10)),
        "left": [values.tolist() for values in views["left"]],
        "right": [None if row in gone else values.tolist() for row, values in enumerate(views["right"])],
    }
    pq.write_table(pa.table(columns), folder / "two.parquet")
    return {"data": folder}


def spec_of(missing, seed):
    encoder = {"features": 16}
    return JobSpec.model_validate(
        {
            "seed": seed,
            "dataset": {
                "source": {"type": "manifest", "uri": "data://two.parquet"},
                "target": {"column": "y"},
                "modalities": [
                    {"name": "left", "type": "embedding", "column": "left", "encoder": encoder},
                    {"name": "right", "type": "embedding", "column": "right", "encoder": encoder, "missing": missing},
                ],
                "split": {"method": "column", "column": "part"},
                "on_bad_sample": {"action": "drop", "max_fraction": 0.5},
            },
            "holdout": {"fraction": 0.2},
            "training": {"epochs": 30, "batch_size": 32, "optimizer": {"type": "adam", "lr": 0.005}},
            "runtime": {"device": "cpu"},
        }
    )


def trained(spec, roots, folder):
    """The session, its events, and whether the answer is right [N] for each row of the test part."""
    session = Session(spec, prepare(spec, roots), torch.device("cpu"))
    folder.mkdir()
    meter = ProgressMeter(
        folder, total=planned_samples(session), done=0, epochs=spec.training.epochs, should_stop=lambda: False
    )
    events = list(run(session, meter, folder))
    model = WithFineTuned(session.model, session.fine_tune.head)
    pooled = WithPool(model, session.objective, events[-1].pool)
    scores = session.measure(session.data.split.test, [POOL], module=pooled, average=False)
    return session, events, scores[POOL].merits


@pytest.fixture(scope="module")
def runs(roots, tmp_path_factory):
    """`mask` and `error` (where rows are dropped) -> a run per seed."""
    folder = tmp_path_factory.mktemp("runs")
    return {
        missing: [trained(spec_of(missing, seed), roots, folder / f"{missing}{seed}") for seed in SEEDS]
        for missing in ("mask", "error")
    }


def complete(session):
    """Whether a test row has both modalities."""
    return session.data.batch(session.data.split.test)["right:present"] == 1.0


def test_no_row_is_lost(runs):
    (masked, _, _), (dropped, _, _) = runs["mask"][0], runs["error"][0]
    assert [len(rows) for rows in masked.data.split.as_dict().values()] == [144, 36, 60, 360]
    assert len(dropped.data.targets) == 360
    assert dropped.data.source_rows[dropped.data.split.test].tolist() == (
        masked.data.split.test[complete(masked)].tolist()
    )


def test_every_head_has_a_weight(runs):
    for session, events, _ in runs["mask"]:
        estimates = [event for event in events if event.type == "super_epoch.weights"]
        assert len(estimates) == 6
        assert not estimates[0].degenerate
        for estimate in estimates:
            assert [head.head for head in estimate.heads] == ["left", "right", "fused"]
            assert min(head.weight for head in estimate.heads) >= 0.5 / 3 - 1e-9  # the default floor
            assert all(np.isfinite(head.ogr) for head in estimate.heads if head.ogr is not None)
        assert session.model.missing("right").any()


def test_rows_that_lack_a_modality_teach_the_others(runs):
    """On the test rows that have both, which is all that a model without masks can answer, keeping the incomplete rows
    in train is better than dropping them."""
    kept = [right[complete(session)].mean() for session, _, right in runs["mask"]]
    dropped = [right.mean() for _, _, right in runs["error"]]
    assert np.mean(kept) > np.mean(dropped) + 0.015, (kept, dropped)


def test_rows_that_lack_a_modality_are_answered(runs):
    answered = [right[~complete(session)].mean() for session, _, right in runs["mask"]]
    assert min(answered) > 0.55, answered  # by chance: 0.25
