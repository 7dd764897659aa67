"""Every spec in examples/ is one, and every modality type has an example that somebody can run."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from gblend_client.specfile import load

from core.data.validation import check
from core.spec import JobSpec
from core.spec.data import Modality
from examples.worked import clips, gestures, tickets
from examples.worked.__main__ import EXAMPLES, MADE

ROOT = Path(__file__).parents[3]
SPECS = {path.stem: path for path in sorted((ROOT / "examples").glob("*.yaml"))}


def spec(name: str) -> JobSpec:
    return JobSpec.model_validate(load(SPECS[name]))


@pytest.mark.parametrize("name", SPECS)
def test_it_is_a_spec_with_its_own_name(name: str) -> None:
    assert spec(name).name == name


def test_every_type_is_worked_through() -> None:
    kinds = {get_args(each.model_fields["type"].annotation)[0] for each in get_args(get_args(Modality)[0])}
    assert {modality.type for name in EXAMPLES for modality in spec(name).dataset.modalities} == kinds


@pytest.mark.parametrize("name", MADE)
def test_made_data_are_what_their_spec_says(name: str, tmp_path: Path) -> None:
    MADE[name](tmp_path)
    made = spec(name)
    found = check(made.dataset, made.holdout, {"data": tmp_path})
    assert [issue.code for issue in found if issue.severity == "error"] == []


@pytest.mark.parametrize("write", [tickets.write, gestures.write, clips.write], ids=["tickets", "gestures", "clips"])
def test_made_data_are_the_same_every_time(write: object, tmp_path: Path) -> None:
    assert callable(write)
    for folder in ("a", "b"):
        write(tmp_path / folder)
    first = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    tables = [path for path in first if path.suffix == ".csv"] or first  # an encoder or a zip may note the time
    assert first == sorted(path.relative_to(tmp_path / "b") for path in (tmp_path / "b").rglob("*") if path.is_file())
    for path in tables if tables[0].suffix == ".csv" else ():
        assert (tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes()
