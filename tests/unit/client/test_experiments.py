"""Experiments in the SDK and the command, against a service that breaks off, stands still, or answers oddly."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from gblend_client import InvalidInput, ProtocolError, ServerError, WaitTimeout
from gblend_client.cli.comparing import Wanted, experiment_of, is_experiment_id, report_format

from tests.unit.client.service import Reply, Service, problem
from tests.unit.client.test_cli import DEADLINE, _read_until, start

ONE = "/v1/experiments/exp_01"
AT_ONCE = {"retry-after": "0"}


def experiment(status: str = "running", **more: Any) -> dict[str, Any]:
    job = "succeeded" if status == "succeeded" else "running"
    return {
        "id": "exp_01",
        "object": "experiment",
        "name": "two",
        "project": "default",
        "status": status,
        "is_terminal": status in ("succeeded", "failed", "cancelled"),
        "counts": {job: 1, "succeeded": 2 if job == "succeeded" else 1},
        "jobs": [
            {"strategy": "naive", "seed": 0, "job_id": "job_1", "status": "succeeded", "percent": None},
            {"strategy": "online", "seed": 0, "job_id": "job_2", "status": job, "percent": 50.0},
        ],
        "spec": {},
        "metadata": {},
        "warnings": [],
        "created_at": "2026-01-02T03:04:05Z",
        "started_at": None,
        "finished_at": None,
        **more,
    }


def comparison(status: str = "running") -> dict[str, Any]:
    def row(strategy: str, score: float, done: int) -> dict[str, Any]:
        test = {"n": done, "mean": score, "sd": None, "ci_low": None, "ci_high": None}
        return {
            "strategy": strategy,
            "planned": 1,
            "done": done,
            "test": test,
            "scores": [{"seed": 0, "job_id": "job_1", "score": score}],
            "heads": {"fused": test},
            "answers": {"fused": done},
            "weights": {"audio": 0.25, "fused": 0.75},
            "super_epochs": [],
            "cost": {"seconds": 12.5, "samples": 100.0, "seconds_by_phase": {"training": 12.5}},
        }

    rows = [row("naive", 0.8125, 1), *([row("online", 0.875, 1)] if status == "succeeded" else [])]
    difference = {"strategy": "online", "minus": "naive", "pairs": 1, "mean": 0.0625, "se": None}
    return {
        "object": "experiment.comparison",
        "experiment_id": "exp_01",
        "status": status,
        "is_terminal": status == "succeeded",
        "metric": "accuracy",
        "reference": "naive",
        "best": rows[-1]["strategy"],
        "strategies": rows,
        "to_reference": [{**difference, "ci_low": None, "ci_high": None}],
        "to_best": [],
    }


def test_watching_survives_what_happens_and_tells_only_changes(experiments: Any, service: Service) -> None:
    service.script(
        f"GET {ONE}",
        Reply(200, experiment("queued"), {"etag": '"a"', **AT_ONCE}),
        Reply(304, b"", AT_ONCE),
        Reply(cut=0),
        problem(503, "not_ready"),
        Reply(200, experiment("running"), {"etag": '"b"', **AT_ONCE}),
        Reply(200, experiment("succeeded")),
    )
    assert [each.status for each in experiments.watch("exp_01")] == ["queued", "running", "succeeded"]
    sent = [request.headers.get("if-none-match") for request in service.seen(f"GET {ONE}")]
    assert sent == [None, *['"a"'] * 4, '"b"']


def test_waiting_ends_with_the_experiment_or_with_patience(experiments: Any, service: Service) -> None:
    service.script(f"GET {ONE}", Reply(200, experiment("running"), AT_ONCE), Reply(200, experiment("failed")))
    ended = experiments.wait("exp_01", timeout=20)
    assert (ended.status, ended.is_terminal, ended.jobs[1].percent) == ("failed", True, 50.0)
    service.script(f"GET {ONE}", *[Reply(200, experiment("running"), AT_ONCE)] * 20)
    with pytest.raises(WaitTimeout, match=r"experiment exp_01 has not ended after 0\.2 s"):
        experiments.wait("exp_01", timeout=0.2)


def test_a_submission_keeps_its_key_through_retries(experiments: Any, service: Service) -> None:
    service.script("POST /v1/experiments", problem(503, "not_ready"), Reply(201, experiment("queued")))
    assert experiments.submit({"strategies": ["naive"]}).id == "exp_01"
    keys = {request.headers["idempotency-key"] for request in service.seen("POST /v1/experiments")}
    assert (len(service.seen("POST /v1/experiments")), len(keys)) == (2, 1)


def test_cancelling_what_was_cancelled_is_no_error(experiments: Any, service: Service) -> None:
    service.script(f"POST {ONE}/cancel", problem(409, "experiment.state"))
    service.script(f"GET {ONE}", Reply(200, experiment("cancelled")))
    assert experiments.cancel("exp_01").status == "cancelled"


def test_a_comparison_is_typed_to_its_last_number(experiments: Any, service: Service) -> None:
    service.script(f"GET {ONE}/comparison", Reply(200, comparison("succeeded")))
    found = experiments.comparison("exp_01", reference="naive")
    assert found.strategies[1].heads["fused"].mean == 0.875
    assert found.strategies[0].scores[0].score == 0.8125
    assert found.to_reference[0].se is None
    assert service.requests[-1].query == {"reference": ["naive"]}
    odd = comparison()
    odd["strategies"][0]["heads"]["fused"] = 3
    service.script(f"GET {ONE}/comparison", Reply(200, odd))
    with pytest.raises(ProtocolError, match=r"heads\.fused"):
        experiments.comparison("exp_01")


def test_a_report_is_text(experiments: Any, service: Service) -> None:
    service.script(f"GET {ONE}/report", Reply(200, "größer".encode(), {"content-type": "text/markdown"}))
    assert experiments.report("exp_01", format="md") == "größer"
    assert service.requests[-1].query == {"format": ["md"]}
    service.script(f"GET {ONE}/report", Reply(200, b"\xff"), *[problem(500, "internal")] * 5)
    with pytest.raises(ProtocolError, match="UTF-8"):
        experiments.report("exp_01")
    with pytest.raises(ServerError):
        experiments.report("exp_01")


def test_an_experiment_from_a_job_spec() -> None:
    job = {"name": "digits", "dataset": {"modalities": [{"name": "image"}, {"name": "audio"}]}}
    body = experiment_of(job, Wanted(changes=["training.epochs=5"], seeds=2))
    assert body == {
        "name": "digits",
        "job": {**job, "training": {"epochs": 5}},
        "strategies": ["unimodal:audio", "unimodal:image", "naive", "equal", "offline", "online"],
        "seeds": [0, 1],
    }
    assert "seeds" not in experiment_of(job, Wanted(strategies=["naive"], name="mine"))
    assert experiment_of(job, Wanted(strategies=["naive"], name="mine"))["name"] == "mine"
    with pytest.raises(InvalidInput, match="modalities"):
        experiment_of({"dataset": {}}, Wanted())


def test_an_experiment_from_its_own_spec() -> None:
    own = {"name": "mine", "changes": {}}
    spec = {"job": {}, "strategies": ["naive", own], "seeds": [7]}
    assert experiment_of(spec, Wanted()) == spec
    changed = experiment_of(spec, Wanted(strategies=["mine", "equal"], changes=["job.training.epochs=5"]))
    assert changed == {"job": {"training": {"epochs": 5}}, "strategies": [own, "equal"], "seeds": [7]}


def test_what_is_an_id_and_what_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert is_experiment_id("exp_01KDXYZ")
    (tmp_path / "exp_01KDXYZ").write_text("{}")
    assert [is_experiment_id(text) for text in ("exp_01KDXYZ", "exp.yaml", "-", "exp_a/b")] == [False] * 4
    assert [report_format(Path(name)) for name in ("a.html", "a.HTM", "a.md")] == ["html", "html", "md"]
    with pytest.raises(InvalidInput):
        report_format(Path("report"))


def test_a_terminal_gets_a_live_table_with_the_numbers_so_far(service: Service) -> None:
    service.replies[f"GET {ONE}"] = [Reply(200, experiment("running"), AT_ONCE)] * 300
    service.replies[f"GET {ONE}/comparison"] = [Reply(200, comparison("running"))]
    ours, theirs = pty.openpty()
    process = start(service, "compare", "exp_01", stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True)
    os.close(theirs)
    picture = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", _read_until(ours, "81.2"))
    assert "75 %" in picture
    assert re.search(r"naive\s+1/1\s+81\.2", picture)
    service.replies[f"GET {ONE}/comparison"] = [Reply(200, comparison("succeeded"))] * 2
    service.replies[f"GET {ONE}"] = [Reply(200, experiment("succeeded"))] * 2
    end = _read_until(ours, "exp_01 succeeded")
    assert "+6.2" in end
    assert process.wait(DEADLINE) == 0
    os.close(ours)


def test_ctrl_c_stops_the_watching_only(service: Service) -> None:
    service.replies[f"GET {ONE}"] = [Reply(200, experiment("running"), AT_ONCE)] * 300
    process = start(service, "compare", "exp_01", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"job_1  naive, seed 0: succeeded\n"
    assert process.stdout.readline() == b"job_2  online, seed 0: running\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130
    assert err.decode() == (
        "stopped watching; the jobs go on. Compare later: gblend compare exp_01\nStop them: gblend cancel exp_01\n"
    )
    assert not any(request.method == "POST" for request in service.requests)


def test_json_is_one_object_and_nothing_else(service: Service) -> None:
    service.script(f"GET {ONE}", *[Reply(200, experiment("succeeded"))] * 2)
    service.script(f"GET {ONE}/comparison", Reply(200, comparison("succeeded")))
    process = start(service, "compare", "exp_01", "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.communicate(timeout=DEADLINE)
    assert (process.returncode, err) == (0, b"")
    assert json.loads(out) == comparison("succeeded")
