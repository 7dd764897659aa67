"""`gblend validate`, `register` and `datasets`, and the SDK's data sets, against the real API."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from gblend_client import AsyncGblend, Gblend, NotFound, Validation

from tests.e2e.api.live import LiveApi, toy_spec
from tests.e2e.client.conftest import Run


def write(path: Path, spec: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(spec))
    return path


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    return write(tmp_path / "toy.yaml", toy_spec())


def test_the_life_of_a_data_set(gblend: Gblend) -> None:
    found = gblend.datasets.validate(toy_spec())
    assert found.valid
    assert found.statistics is not None
    assert found.statistics.target is not None
    assert [each.name for each in found.statistics.modalities] == ["size", "look"]
    assert found.statistics.modalities[0].columns[0].spread is not None

    made = gblend.datasets.register(toy_spec(), idempotency_key="ds-life")
    assert gblend.datasets.register(toy_spec(), idempotency_key="ds-life") == made
    assert made.fingerprint == found.fingerprint
    assert made.statistics == found.statistics
    assert gblend.datasets.get(made.id) == made
    assert next(gblend.datasets.list()).id == made.id
    assert gblend.datasets.page(limit=1).data == (made,)
    job = gblend.jobs.submit(toy_spec(dataset=made.id))
    assert job.spec["dataset"] == made.spec["dataset"]
    assert gblend.datasets.validate({"dataset": made.id}).fingerprint == made.fingerprint
    gblend.datasets.delete(made.id)
    with pytest.raises(NotFound):
        gblend.datasets.get(made.id)
    with pytest.raises(Validation) as caught:
        gblend.jobs.submit(toy_spec(dataset=made.id))
    assert caught.value.errors[0].code == "dataset.not_found"


def test_the_async_client_does_the_same(api: LiveApi) -> None:
    async def life() -> None:
        async with AsyncGblend(api.url, backoff=0.01) as gblend:
            assert (await gblend.datasets.validate(toy_spec())).valid
            made = await gblend.datasets.register(toy_spec())
            assert (await gblend.datasets.get(made.id)) == made
            assert [each.id async for each in gblend.datasets.list(limit=1)] == [made.id]
            assert (await gblend.datasets.page(limit=1)).data == (made,)
            await gblend.datasets.delete(made.id)

    asyncio.run(life())


def test_validate_prints_a_report(run: Run, spec: Path) -> None:
    done = run("validate", spec)
    assert done.exit_code == 0, done.output
    assert f"{spec}: 40 rows, 2 classes, 2 modalities" in done.stdout
    assert "train (T)" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("ready to train")


def test_validate_tells_the_data_and_the_job_in_one_report(run: Run, spec: Path) -> None:
    changes = ("--set", "dataset.sample_id=idd", "--set", "blending.strategy=onlin")
    done = run("validate", spec, *changes)
    assert done.exit_code == 3
    assert "error dataset.sample_id  column.missing" in done.stdout
    assert "  -> did you mean 'id'?" in done.stdout
    assert "error blending.strategy  spec.value" in done.stdout
    assert done.stdout.count("column.missing") == 1
    assert "40 rows" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("not ready: 2 problems to mend")
    told = run("validate", spec, *changes, "--json")
    assert told.exit_code == 3
    body = json.loads(told.stdout)
    assert (body["valid"], body["statistics"]["rows"]) == (False, 40)
    assert [error["pointer"] for error in body["errors"]] == ["#/dataset/sample_id", "#/blending/strategy"]


def test_validate_of_what_is_no_data_set_at_all(run: Run, spec: Path) -> None:
    done = run("validate", spec, "--set", "dataset.modalities=[]", "--set", "dataset.sorce=1")
    assert done.exit_code == 3
    assert "error dataset.modalities  spec.value" in done.stdout
    assert "error dataset.sorce  spec.unknown_field" in done.stdout
    assert done.stdout.count("unknown_field") == 1
    assert "not ready: 2 problems to mend" in done.stdout


def test_validate_of_an_experiment(run: Run, tmp_path: Path) -> None:
    experiment = {"job": toy_spec(), "strategies": ["naive", "onlin"], "seeds": [0]}
    done = run("validate", write(tmp_path / "e.yaml", experiment))
    assert done.exit_code == 3
    assert "error strategies.1  spec.value" in done.stdout
    assert "not ready: 1 problem to mend" in done.stdout
    good = run("validate", write(tmp_path / "e.yaml", {**experiment, "strategies": ["naive"]}))
    assert good.exit_code == 0, good.output


def test_validate_register_list_and_forget(run: Run, tmp_path: Path) -> None:
    alone = write(tmp_path / "data.yaml", toy_spec()["dataset"])
    assert run("validate", alone).exit_code == 0
    made = run("register", alone, "--name", "toys", "--idempotency-key", "cli-toys")
    assert made.exit_code == 0, made.output
    dataset_id = made.stdout.split()[0]
    assert made.stdout == f"{dataset_id} (toys)\n"
    assert made.stderr.splitlines()[-1] == f"name it in a job: gblend submit SPEC --set dataset={dataset_id}"
    assert (
        json.loads(run("register", alone, "--name", "toys", "--idempotency-key", "cli-toys", "--json").stdout)["id"]
        == dataset_id
    )
    listed = [line.split() for line in run("datasets").stdout.splitlines()]
    assert [dataset_id, "toys", "40", "2", "size,", "look"] in [line[:6] for line in listed]
    assert json.loads(run("datasets", "--json", "--limit", 1).stdout)["data"][0]["id"] == dataset_id
    again = run("validate", dataset_id)
    assert again.exit_code == 0, again.output
    assert again.stdout.startswith(f"{dataset_id}: 40 rows")
    job = run("submit", write(tmp_path / "job.yaml", toy_spec()), "--set", f"dataset={dataset_id}")
    assert job.exit_code == 0, job.output
    assert run("delete", dataset_id).exit_code == 0
    assert run("validate", dataset_id).exit_code == 3


def test_what_is_wrong_is_not_registered(run: Run, spec: Path) -> None:
    done = run("register", spec, "--set", "dataset.target.column=lable")
    assert done.exit_code == 3
    assert "column.missing" in done.stderr


def test_init_writes_a_spec_that_validates(api: LiveApi, run: Run, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path(api.settings.data_roots["data"]) / "pairs"
    folder.mkdir(exist_ok=True)
    (folder / "manifest.csv").write_text(
        "id,speaker,height,remark,label\n"
        + "".join(f"p{i},s{i // 8},{i * 1.5},{'this is remark number ' + str(i)},{'ab'[i % 2]}\n" for i in range(40))
    )
    done = run("init", folder / "manifest.csv")  # the end of a local path, below data://
    assert done.exit_code == 0, done.output
    assert done.stdout == "pairs.yaml\n"
    assert done.stderr == "look it over; then: gblend validate pairs.yaml\n"
    spec = yaml.safe_load((tmp_path / "pairs.yaml").read_text())
    assert spec["dataset"]["source"]["uri"] == "data://pairs/manifest.csv"
    assert spec["dataset"]["split"] == {"method": "draw", "group_by": ["speaker"], "seed": 0}
    assert [each["type"] for each in spec["dataset"]["modalities"]] == ["text", "tabular"]
    checked = run("validate", "pairs.yaml")
    assert checked.exit_code == 0, checked.output
    assert run("submit", "pairs.yaml").exit_code == 0

    again = run("init", "data://pairs/manifest.csv")
    assert again.exit_code == 2
    assert "--force writes over it" in again.stderr
    assert run("init", "data://pairs", "--force", "--target", "label", "-o", "-").stdout.startswith("# A guess")
    assert json.loads(run("init", "data://pairs", "--json").stdout)["uri"] == "data://pairs"


def test_init_says_what_is_still_needed(run: Run, tmp_path: Path) -> None:
    done = run("init", "data://toy/manifest.csv", "-o", tmp_path / "toy.yaml")
    assert done.exit_code == 3
    assert "still needed: modalities" in done.stderr
    assert "# STILL NEEDED: modalities" in (tmp_path / "toy.yaml").read_text()


def test_init_of_a_place_that_is_none(run: Run) -> None:
    done = run("init", "somewhere/nothing.csv")
    assert done.exit_code == 3
    assert "source.not_found" in done.stderr
