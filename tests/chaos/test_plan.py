"""Plans, scripts and results: what a run is made of, and what its figures add up to."""

from __future__ import annotations

import random
import re
from collections import Counter
from pathlib import Path

import pytest

from core.events import decode, encode
from tests.chaos import failpoints, plan, results
from tests.chaos.faults import Faults
from tests.chaos.processes import ROOT
from tests.chaos.results import Record
from tests.chaos.runner import Result
from tests.chaos.scripts import CHILD_POINTS, EPOCHS, NOT_FINITE, Script, draw, write_journals

BACKENDS = ["sqlite", "postgres"]


def _planned(backend: str, units: int = plan.UNITS, seed: int = 1) -> list[str]:
    return plan.faults(backend, units, random.Random(seed))


def test_two_whole_runs_harm_enough() -> None:
    planned = Counter(_planned("sqlite") + _planned("postgres"))
    assert 2 * plan.UNITS >= 3000
    assert sum(planned[name] for name in plan.RANDOM_KILLS) >= 200
    assert sum(planned[name] for name in plan.BROKER_RESTARTS) >= 20
    assert sum(planned[name] for name in plan.DATABASE_RESTARTS) >= 10
    assert planned["kill_at_point"] >= 2 * len(failpoints.POINTS)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_smallest_run_has_every_fault_and_each_can_be_done(backend: str) -> None:
    planned = _planned(backend, units=20)
    assert set(planned) == set(plan.every(backend))
    assert [name for name in planned if not callable(getattr(Faults, f"_{name}", None))] == []


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_seed_is_a_plan(backend: str) -> None:
    assert _planned(backend) == _planned(backend)
    assert _planned(backend) != _planned(backend, seed=2)
    assert sorted(_planned(backend)) == sorted(_planned(backend, seed=2))


def test_a_small_run_has_every_kind_of_unit() -> None:
    drawn = draw(60, random.Random(1))
    kinds = Counter(script.kind for script in drawn)
    assert sum(kinds.values()) == 60
    assert set(kinds) == {
        *("plain", "dies", "hangs", "out_of_memory", "disk_full", "not_finite", "poison", "cancelled", "paused")
    }
    assert [script.die_at != "" for script in drawn] == [script.kind == "dies" for script in drawn]


def test_a_whole_run_has_units_that_die_at_every_point() -> None:
    died = Counter(script.die_at for script in draw(plan.UNITS, random.Random(1)))
    assert {point for point in died if point} == set(CHILD_POINTS)
    assert min(died[point] for point in CHILD_POINTS) >= 10


def test_units_that_die_pass_the_point_where_they_do() -> None:
    """Points that are passed often count at the eighth entry, the second checkpoint."""
    for script in draw(plan.UNITS, random.Random(1)):
        if script.kind not in ("plain", "poison", "not_finite"):
            assert len(script.journal()) > 8


def test_too_few_units_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 9 units"):
        draw(8, random.Random(1))


def test_endings() -> None:
    assert Script("plain", 3, 0.0).endings == {"succeeded"}
    assert Script("hangs", 3, 0.0).endings == {"succeeded"}
    assert Script("cancelled", 3, 0.0).endings == {"succeeded", "cancelled"}
    assert Script("poison", 3, 0.0).endings == {"failed"}
    assert NOT_FINITE not in Script("poison", 3, 0.0).errors
    assert Script("not_finite", 3, 0.0).errors == {NOT_FINITE}


def test_what_the_child_copies_is_what_the_checker_expects(tmp_path: Path) -> None:
    write_journals(tmp_path)
    for epochs in EPOCHS:
        for kind in ("plain", "not_finite"):
            lines = (tmp_path / f"{kind}-{epochs}.jsonl").read_bytes().splitlines(keepends=True)
            expected = Script(kind, epochs, 0.0).journal()
            assert [decode(line) for line in lines] == expected
            assert lines == [encode(entry) for entry in expected]


def test_an_armed_point_is_taken_once(tmp_path: Path) -> None:
    failpoints.arm(tmp_path, "commit.before")
    assert failpoints.is_armed(tmp_path, "commit.before")
    assert failpoints.disarm(tmp_path, "commit.before")
    assert not failpoints.disarm(tmp_path, "commit.before")
    failpoints.arm(tmp_path, "commit.after")
    failpoints.disarm_all(tmp_path)
    assert not failpoints.is_armed(tmp_path, "commit.after")


def _record(backend: str, **figures: object) -> Record:
    return Result(backend=backend, seed=3).as_json() | figures


def test_runs_add_up() -> None:
    said = results.summary(
        [
            _record("sqlite", units=1500, faults={"kill_child": 60, "kill_api": 3}, seconds=90.0),
            _record("sqlite", units=100, faults={"kill_child": 4}, scripted={"dies at finish": 2, "plain": 98}),
            _record("postgres", units=1500, faults={"restart_redis_empty": 5, "kill_backend": 2}, points={"a": 7}),
        ]
    ).splitlines()
    assert "|  | postgres | sqlite | together |" in said
    assert "| runs | 1 | 2 | 3 |" in said
    assert "| units | 1,500 | 1,600 | 3,100 |" in said
    assert "| random SIGKILLs of training, worker, API | 0 | 67 | 67 |" in said
    assert "| workers killed at a point around claim, commit, record, store, finish | 7 | 0 | 7 |" in said
    assert "| trainings killed at a point around checkpoint, publish, artifact, exit | 0 | 2 | 2 |" in said
    assert "| broker restarts | 5 | 0 | 5 |" in said
    assert "| database restarts | 2 | 0 | 2 |" in said
    assert "| kill child | 0 | 64 | 64 |" in said
    assert "| unit: dies at finish | 0 | 2 | 2 |" in said
    assert "| violations | 0 | 0 | 0 |" in said
    assert said[-1] == "No violation was found."


def test_a_violation_is_told_with_the_run_that_found_it() -> None:
    said = results.summary([_record("sqlite", problems=["job_1 (plain): its unit is leased"])])
    assert "| violations | 1 | 1 |" in said
    assert said.endswith("- sqlite, seed 3: job_1 (plain): its unit is leased")


def test_a_page_gets_its_results() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text()
    once = results.replaced(page, "| new |")
    assert "-->\n\n| new |\n\n<!-- end of results -->\n" in once
    assert results.replaced(once, "| new |") == once
    with pytest.raises(ValueError, match="where results stand"):
        results.replaced("# Page", "| new |")


def test_every_fault_and_kind_of_unit_is_in_the_page() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text()
    names = {name for backend in BACKENDS for name in plan.every(backend)}
    kinds = {script.kind for script in draw(100, random.Random(1))} - {"plain", "dies"}
    shown = {*re.findall(r"`(\w+)`", page.partition("## Faults")[2].partition("## Results")[0])}
    assert (names | kinds) - shown == set()


def test_results_are_added_to_a_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "chaos.jsonl"
    for seed in (1, 2):
        results.append(path, Result(backend="sqlite", seed=seed, units=10))
    assert [(record["seed"], record["units"]) for record in results.read(path)] == [(1, 10), (2, 10)]
