"""The method benchmark: every strategy is a valid spec, and the tables say what the runs say."""

import pytest

from benchmarks.method.strategies import DEFAULT, RANDOM_V, REFERENCE, strategies
from benchmarks.method.tables import difference, markdown, spread
from core.spec import JobSpec
from tests.tiny import tiny_spec

PATCHES = dict(strategies(["noisy", "clean"]))


@pytest.mark.parametrize("name", PATCHES)
def test_every_strategy_is_a_spec_with_the_same_budget(name):
    base = {key: value for key, value in tiny_spec().items() if key not in ("blending", "training")}
    spec = JobSpec.model_validate(base | PATCHES[name])
    assert spec.training.epochs + spec.training.pretrain_epochs == 20
    assert spec.training.fine_tune.enabled
    assert spec.answer == "auto"


def test_the_default_says_nothing_about_blending():
    assert PATCHES[DEFAULT] == {}
    assert PATCHES[REFERENCE] == {"blending": {"strategy": "naive"}}
    assert set(RANDOM_V) <= set(PATCHES)


def test_only_what_names_a_policy_goes_without_a_floor():
    floors = {name: patch.get("blending", {}).get("floor") for name, patch in PATCHES.items()}
    assert floors["online, paper"] == floors["offline, paper"] == 0.0
    assert floors["online, floor, exact"] is None


def line(strategy, seed, score, answer="heads_pool"):
    return {
        "set": "made up",
        "strategy": strategy,
        "seed": seed,
        "score": score,
        "answer": answer,
        "heads": {"fused": score},
    }


RUNS = [
    *(line(REFERENCE, seed, score, "fused") for seed, score in enumerate((0.70, 0.72, 0.74))),
    *(line(DEFAULT, seed, score) for seed, score in enumerate((0.80, 0.81, 0.88))),
    *(line("equal", seed, score) for seed, score in enumerate((0.81, 0.82, 0.89))),
]


def test_means_and_paired_differences_by_hand():
    # Differences 10, 9 and 14 points: mean 11, standard deviation sqrt(7), error sqrt(7/3) = 1.53.
    assert spread([0.70, 0.72, 0.74]) == "72.0 ± 2.0"
    assert difference({0: 0.80, 1: 0.81, 2: 0.88}, {0: 0.70, 1: 0.72, 2: 0.74}) == "+11.0 ± 1.5"
    assert difference({0: 0.5}, {0: 0.6}) == "-10.0"
    assert (spread([]), spread([0.5])) == ("", "50.0")


def test_the_overview_names_the_best_in_hindsight():
    text = markdown(RUNS)
    assert "| made up | 83.0 ± 4.4 | 72.0 ± 2.0 | +11.0 ± 1.5 | equal 84.0 ± 4.4 | -1.0 ± 0.0 | 3 |" in text
    assert "| naive | 72.0 ± 2.0 |  |  | 72.0 ± 2.0 |  | fused 3 |" in text


def test_a_set_without_the_default_has_no_line_in_the_overview():
    text = markdown([line(REFERENCE, 0, 0.5)])
    assert "| made up | " not in text
    assert "## made up" in text


def test_every_strategy_stands_beside_every_set():
    assert "| strategy | made up |" in markdown(RUNS)
    assert "| equal | 84.0 ± 4.4 |" in markdown(RUNS)


def test_a_v_by_groups_is_told_against_one_at_random():
    drawn = [run | {"set": "made up, V at random", "score": run["score"] - 0.1} for run in RUNS]
    text = markdown(RUNS + drawn)
    # The answers fall by ten points, the fused head (the same in both) by none.
    assert "| made up | equal | 84.0 ± 4.4 | 74.0 ± 4.4 | +10.0 ± 0.0 | 84.0 ± 4.4 | 84.0 ± 4.4 | +0.0 ± 0.0 |" in text
    assert "V by groups" not in markdown(RUNS)
