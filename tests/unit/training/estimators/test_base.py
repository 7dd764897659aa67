"""The rows that an estimate looks at, and how many samples its steps take."""

import numpy as np
import pytest

from core.data.dataset import prepare
from core.spec import JobSpec
from core.training.estimators.base import draw, samples_of, strata_of
from tests.tiny import tiny_spec, tiny_task_spec, write_tiny_tasks

ROWS = np.arange(100, 200)
CLASSES = np.concatenate([np.zeros(100), np.repeat([0, 1, 2], [70, 29, 1])]).astype(np.int64)


def test_a_draw_is_stratified_ascending_and_without_doubles():
    for seed in range(20):
        drawn = draw(ROWS, CLASSES, 30, seed)
        assert len(drawn) == 30
        assert (np.diff(drawn) > 0).all()
        assert set(drawn.tolist()) <= set(ROWS.tolist())
        assert np.bincount(CLASSES[drawn], minlength=3)[:2].tolist() in ([21, 8], [21, 9], [22, 8], [20, 9])


def test_every_row_is_drawn_equally_often_whatever_its_class():
    counts = np.zeros(100)
    for seed in range(3000):
        counts[draw(ROWS, CLASSES, 30, seed) - 100] += 1
    # 3000 draws with probability 0.3: 900 on average, standard deviation 25.
    assert (abs(counts - 900) < 5 * 25).all()
    assert abs(counts[99] - 900) < 4 * 25


@pytest.mark.parametrize("targets", [np.random.default_rng(1).normal(size=200), np.eye(200)])
def test_targets_that_are_no_classes_are_drawn_at_random(targets):
    drawn = draw(ROWS, targets, 40, 7)
    assert len(set(drawn.tolist())) == 40
    assert not np.array_equal(drawn, draw(ROWS, targets, 40, 8))
    assert np.array_equal(drawn, draw(ROWS, targets, 40, 7))


def test_all_rows_stay_as_they_are():
    assert draw(ROWS, CLASSES, 100, 3) is ROWS
    assert draw(ROWS, CLASSES, 1000, 3) is ROWS


@pytest.mark.parametrize(
    ("rows", "batch_size", "steps", "samples"),
    [(84, 16, 1, 16), (84, 16, 5, 80), (84, 16, 6, 84), (84, 16, 7, 100), (84, 16, 12, 168), (10, 64, 3, 30)],
)
def test_steps_count_the_smaller_last_batch_of_each_pass(rows, batch_size, steps, samples):
    assert samples_of(rows, batch_size, steps) == samples


# The strata by which rows came about


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    folder = write_tiny_tasks(tmp_path_factory.mktemp("tasks")).parent

    def of(task):
        raw = tiny_task_spec(task, {"strategy": "naive"}, holdout={"fraction": 0.25})
        return prepare(JobSpec.model_validate(raw), {"data": folder, "models": folder})

    return of


@pytest.mark.parametrize("task", ["multiclass", "binary", "multilabel", "regression"])
def test_v_holds_its_fraction_of_every_stratum_whatever_the_target(tasks, task):
    data = tasks(task)
    split = data.split
    T, V = (strata_of(data, part, part) for part in (split.train, split.holdout))
    counts = [np.bincount(codes, minlength=max(T.max(), V.max()) + 1) for codes in (T, V)]
    assert len(counts[0]) > 1
    assert (abs(counts[1] - 0.25 * (counts[0] + counts[1])) <= 1.0).all()
    if task in ("multiclass", "binary"):
        assert np.array_equal(V, data.targets[split.holdout])


def test_a_sample_of_classes_is_stratified_and_of_anything_else_is_not(tasks):
    classes = tasks("multiclass")
    rows = classes.split.train[3:20]
    assert np.array_equal(strata_of(classes, classes.split.train, rows), classes.targets[rows])
    for task in ("multilabel", "regression"):
        data = tasks(task)
        assert strata_of(data, data.split.train, data.split.train[3:20]) is None


def test_whole_groups_are_not_drawn_within_strata(roots, tmp_path):
    rng = np.random.default_rng(0)
    with np.load(roots["data"] / "tiny.npz") as arrays:
        np.savez(tmp_path / "tiny.npz", **arrays, speaker=rng.integers(0, 8, len(arrays["y"])))
    for group_by, grouped in ((["speaker"], True), ([], False)):
        raw = tiny_spec({"strategy": "naive"}, holdout={"fraction": 0.25, "group_by": group_by})
        data = prepare(JobSpec.model_validate(raw), {**roots, "data": tmp_path})
        for part in (data.split.train, data.split.holdout):
            assert (strata_of(data, part, part) is None) == grouped
