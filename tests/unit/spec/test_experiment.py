"""Experiments become job specs: merge patches, shorthands, what may not differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from core.data.dataset import prepare
from core.spec import JobSpec
from core.spec.experiment import SHORTHANDS, ExperimentSpec, is_shorthand, merge_patch
from tests.tiny import tiny_spec, write_tiny


def experiment(*strategies: Any, **changes: Any) -> ExperimentSpec:
    return ExperimentSpec.model_validate({"job": tiny_spec(), "strategies": strategies, "seeds": [0], **changes})


def only(*strategies: Any, **changes: Any) -> JobSpec:
    (variant,) = experiment(*strategies, **changes).variants()
    return variant.spec


@pytest.mark.parametrize(
    ("target", "patch", "expected"),
    [
        # RFC 7396, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        # ours: another kind replaces the whole object
        ({"o": {"type": "adam", "lr": 1}}, {"o": {"type": "sgd"}}, {"o": {"type": "sgd"}}),
        ({"o": {"type": "adam", "lr": 1}}, {"o": {"type": "adam"}}, {"o": {"type": "adam", "lr": 1}}),
        ({"o": {"type": "adam", "lr": 1}}, {"o": {"lr": 2}}, {"o": {"type": "adam", "lr": 2}}),
        ({"w": {"type": 0.5, "b": 0.5}}, {"w": {"type": 0.1}}, {"w": {"type": 0.1, "b": 0.5}}),
    ],
)
def test_a_merge_patch(target: Any, patch: Any, expected: Any) -> None:
    before = repr((target, patch))
    assert merge_patch(target, patch) == expected
    assert repr((target, patch)) == before


def test_a_patch_of_the_same_strategy_merges_and_another_one_replaces() -> None:
    merged = only({"name": "x", "changes": {"blending": {"policy": "paper"}}}).blending.model_dump()
    assert (merged["strategy"], merged["policy"], merged["super_epochs"]) == (
        "online",
        "paper",
        {"first": 2, "later": 1},
    )
    assert only({"name": "x", "changes": {"blending": {"strategy": "naive"}}}).blending.model_dump() == {
        "strategy": "naive"
    }


def test_null_takes_a_field_back_to_its_default() -> None:
    job = only({"name": "x", "changes": {"training": {"epochs": None}, "blending": None}})
    assert (job.training.epochs, job.training.batch_size) == (20, 16)
    assert job.blending.model_dump()["super_epochs"] == {"first": 5, "later": 5}


def test_no_changes_give_the_job_itself() -> None:
    found = only({"name": "as it is"})
    assert found.model_copy(update={"name": None}) == JobSpec.model_validate(tiny_spec(seed=0))
    assert found.name == "experiment: as it is, seed 0"


def test_shorthands_are_the_strategies_that_need_nothing_else() -> None:
    assert {"naive", "equal", "offline", "online"} <= set(SHORTHANDS)
    assert not {"unimodal", "fixed"} & set(SHORTHANDS)
    told = ExperimentSpec.model_json_schema()["properties"]["strategies"]["description"]
    for name in SHORTHANDS:
        assert only(name).blending.strategy == name
        assert f"`{name}`" in told
    alone = only("unimodal:clean")
    assert alone.blending.model_dump() == {"strategy": "unimodal", "modality": "clean"}
    spelled_out = experiment("naive", "unimodal:clean", {"name": "naive2", "changes": {}})
    assert [is_shorthand(strategy) for strategy in spelled_out.strategies] == [True, True, False]
    assert ExperimentSpec.model_validate(spelled_out.resolved()) == spelled_out
    assert ExperimentSpec.model_validate(spelled_out.resolved()).canonical() == spelled_out.canonical()


def test_jobs_come_seed_by_seed() -> None:
    found = experiment("naive", "equal", seeds=[5, 1], name="n" * 200).variants()
    assert [(each.strategy, each.seed, each.spec.seed) for each in found] == [
        ("naive", 5, 5),
        ("equal", 5, 5),
        ("naive", 1, 1),
        ("equal", 1, 1),
    ]
    assert {len(str(each.spec.name)) for each in found} == {200}
    assert str(found[0].spec.name).endswith("n: naive, seed 5")
    assert len({each.spec.fingerprint() for each in found}) == 4


def test_a_strategy_that_gives_no_job_is_found_beside_the_good_ones() -> None:
    good, bad = experiment("naive", {"name": "x", "changes": {"training": {"epochs": 0}}}).patched()
    assert isinstance(good, JobSpec)
    assert isinstance(bad, ValidationError)
    assert [error["loc"] for error in bad.errors()] == [("training", "epochs")]


@pytest.mark.parametrize("field", ["dataset", "holdout", "seed", "runtime"])
def test_what_strategies_share_cannot_be_changed(field: str) -> None:
    with pytest.raises(ValidationError, match=f"cannot change '{field}'"):
        experiment({"name": "x", "changes": {field: {}}})


def test_bounds() -> None:
    names = [{"name": f"s{n}"} for n in range(64)]
    assert len(experiment(*names[:20], seeds=range(100)).variants()) == 2000
    for wrong in (
        {"strategies": []},
        {"strategies": [*names, {"name": "one more"}]},
        {"strategies": names[:21], "seeds": list(range(100))},
        {"seeds": list(range(101))},
        {"seeds": [1, 1]},
        {"strategies": ["naive", {"name": "naive"}]},
    ):
        with pytest.raises(ValidationError):
            ExperimentSpec.model_validate({"job": tiny_spec(), "strategies": ["naive"], **wrong})


def test_for_one_seed_all_strategies_have_the_same_split_and_the_same_v(tmp_path: Path) -> None:
    """The fingerprint is over the source, the decoded rows and every side of the split, V included."""
    write_tiny(tmp_path)
    drawn = tiny_spec()
    drawn["dataset"]["split"] = {"method": "draw", "stratify_by": "y"}
    for job in (tiny_spec(), drawn):
        fingerprints: dict[int, set[str]] = {}
        strategies = ["naive", "online", "unimodal:clean", {"name": "sgd", "changes": {"model": {"dropout": 0.5}}}]
        for each in experiment(*strategies, job=job, seeds=[0, 1, 2]).variants():
            data = prepare(each.spec, {"data": tmp_path})
            fingerprints.setdefault(each.seed, set()).add(data.fingerprint)
        assert [len(found) for found in fingerprints.values()] == [1, 1, 1]
        assert len(set.union(*fingerprints.values())) == 3  # another seed, another V
