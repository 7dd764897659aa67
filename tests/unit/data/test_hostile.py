"""Hostile files end in one error with a name, the process lives on, and memory stays where it was.

The cases are in `hostile/`, one module per kind of file. They are looked at in a child process: what kills it is known,
and its memory can be measured case by case.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.data.problems import HINTS
from tests.unit.data.hostile import archives, films, parquets, pictures, places, saved_sets, sounds, tables, tars
from tests.unit.data.hostile.cases import Case
from tests.unit.data.hostile.fuzz import KINDS

ROOT = Path(__file__).parents[3]
MOST_GROWTH = 400.0
"""MiB above what the process had before it looked."""

MODULES = {
    "places": places,
    "tars": tars,
    "archives": archives,
    "pictures": pictures,
    "sounds": sounds,
    "films": films,
    "tables": tables,
    "parquets": parquets,
    "saved sets": saved_sets,
}
CASES: dict[str, Case] = {f"{kind}: {case.name}": case for kind, module in MODULES.items() for case in module.CASES}


def build(folder: Path, case: Case) -> None:
    data = folder / "data"
    data.mkdir(parents=True)
    (folder / "spec.json").write_text(json.dumps(case.build(data)))


def looked_at(folder: Path, names: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and result of every case; a child that dies is a result too, and another one goes on behind it."""
    while names:
        command = [sys.executable, "-m", "tests.unit.data.hostile.child", str(folder), *names]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=150)
        results = [json.loads(line) for line in done.stdout.splitlines()]
        yield from ((result["name"], result) for result in results)
        if len(results) < len(names):
            last = (done.stderr or "").strip().splitlines()[-12:]
            yield names[len(results)], {"died": done.returncode, "stderr": last}
        elif done.returncode:
            raise AssertionError(done.stderr)
        names = names[len(results) + 1 :]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Case -> what looking at it gave."""
    folder = tmp_path_factory.mktemp("hostile")
    numbers = {str(number): name for number, name in enumerate(CASES)}
    for number, name in numbers.items():
        build(folder / number, CASES[name])
    return {numbers[number]: result for number, result in looked_at(folder, list(numbers))}


@pytest.mark.parametrize("name", CASES)
def test_it_ends_in_its_error(name: str, results: dict[str, dict[str, Any]]) -> None:
    result, case = results[name], CASES[name]
    assert "died" not in result, result
    assert (result["by"], tuple(issue["code"] for issue in result["issues"])) == (case.by, case.codes), result
    assert result["grown"] < MOST_GROWTH
    assert result["outside"] == []
    assert result["appeared"] == []  # what is unpickled could write a file
    for issue in result["issues"]:
        assert issue["pointer"].startswith("#/dataset/")
        assert issue["hint"]
        assert len(json.dumps(issue)) < 5000
        assert "/data/" not in json.dumps(issue)  # where the root lies is nobody's business


def test_what_lies_outside_changes_no_answer(results: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    """The same cases with something to find at every path: the same answers, to the letter."""
    numbers = {str(number): case for number, case in enumerate(places.CASES)}
    for number, case in numbers.items():
        build(tmp_path / number, case)
        places.with_secrets(tmp_path / number)
    for number, result in looked_at(tmp_path, list(numbers)):
        assert result["issues"] == results[f"places: {numbers[number].name}"]["issues"]
        assert result["outside"] == []


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_damaged_bytes_end_in_an_error_and_never_in_a_crash(kind: str, tmp_path: Path) -> None:
    """Arrow's C++ ends the whole process on some damaged files; those must not come to it."""
    command = [sys.executable, "-m", "tests.unit.data.hostile.fuzz", str(tmp_path), kind, "0", "1500"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, (done.stdout.splitlines()[-1:], done.stderr[-2000:])
    assert int(done.stdout.split("read ")[1]) > 0


def test_damaged_films_end_in_an_error_by_name_within_bounds() -> None:
    """FFmpeg is given damaged containers in decoders of their own; whoever asks them outlives them."""
    command = [sys.executable, "-m", "tests.unit.data.hostile.fuzz_films", "300"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["peak"] < MOST_GROWTH
    for kind, told in found["told"].items():
        assert sum(told.values()) == 301, kind
        assert set(told) <= {"decoded", "crashed", *HINTS}, kind
        assert told["decoded"] > 1, kind
        assert told["file.undecodable"] > 0, kind
