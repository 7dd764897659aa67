"""The command `gblend`: what it prints where, and its exit codes."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from gblend_client.cli import app
from typer.testing import CliRunner, Result

from tests.unit.client.service import JOB_ID, Reply, Service, event, job, problem

CODE = "from gblend_client.cli import app; app()"
DEADLINE = 30.0


@pytest.fixture
def gblend(service: Service, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the command against the service."""
    monkeypatch.setenv("GBLEND_URL", service.url)

    def run(*arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(app, list(arguments), input=stdin, catch_exceptions=False)

    return run


@pytest.fixture
def spec(tmp_path: Path) -> str:
    path = tmp_path / "spec.yaml"
    path.write_text("name: digits\ntraining: {epochs: 20}\n")
    return str(path)


def measurement(head: str, split: str, loss: float, accuracy: float) -> dict[str, Any]:
    return {"head": head, "split": split, "loss": loss, "accuracy": accuracy, "accuracy_se": 0.01, "samples": 200}


def estimate(head: str, weight: float, **more: Any) -> dict[str, Any]:
    return {"head": head, "weight": weight, "G": 0.5, "O": 0.125, "ogr": 0.25, "learnt": True, "flags": [], **more}


TEST = [measurement("audio", "test", 1.5, 0.5), measurement("fused", "test", 0.25, 0.875)]
RESULT = {
    "answer": "fused",
    "answer_reason": "best on validation",
    "test_accuracy": 0.875,
    "test": TEST,
    "contributions": [{"modality": "audio", "score": 0.625, "drop": 0.25, "drop_se": 0.02}],
    "flags": ["shift_suspected"],
}


@pytest.fixture
def trained(service: Service) -> Service:
    """A service whose job has run to its end."""
    heads = [estimate("audio", 0.25), estimate("fused", 0.75, weight_low=0.5, weight_high=0.9)]
    measured = [measurement("audio", "train", 0.75, 0.8), measurement("audio", "holdout", 1.25, 0.6)]
    service.events = [
        event(1, "job.created", "The job waits"),
        event(2, "job.status", "Running", status="running"),
        event(3, "run.started", "Data are read", heads=["audio", "fused"], super_epochs=2),
        event(4, "phase.started", "Estimating", phase="estimating", super_epoch=0),
        event(5, "super_epoch.weights", "Weights", super_epoch=0, policy="shrunk", heads=heads, degenerate=False),
        event(6, "epoch.completed", "Epoch 1", epoch=1, super_epoch=0, measurements=measured),
        event(7, "run.completed", "Trained", test=TEST, answer="fused", answer_reason="best on validation"),
    ]
    service.super_epochs = [{"super_epoch": 0, "first_epoch": 0, "epochs": 5, "heads": heads, "degenerate": False}]
    service.job = job("succeeded", result=RESULT)
    return service


@pytest.fixture
def regressed(service: Service) -> Service:
    """A service whose job has predicted a number."""

    def scored(head: str, split: str, loss: float, score: float, error: float | None = None) -> dict[str, Any]:
        none = {"accuracy": None, "accuracy_se": None}
        return {"head": head, "split": split, "loss": loss, "score": score, "score_se": error, "samples": 200, **none}

    test = [scored("audio", "test", 1.5, -0.125, 0.25), scored("fused", "test", 0.25, 0.75, 0.0625)]
    service.events = [
        event(1, "run.started", "Data are read", heads=["audio", "fused"], super_epochs=1, metric="r2"),
        event(2, "epoch.completed", "Epoch 1", epoch=1, measurements=[scored("fused", "train", 0.5, 0.5)]),
        event(3, "run.completed", "Trained", test=test, answer="fused", answer_reason="asked for"),
    ]
    result = {"answer": "fused", "metric": "r2", "test_score": 0.75, "test_accuracy": None, "test": test}
    service.job = job("succeeded", result=result)
    return service


def test_a_score_that_is_no_accuracy_goes_by_its_name(gblend: Any, regressed: Service) -> None:
    shown = gblend("show", JOB_ID).stdout
    assert "test r2" in shown
    assert "0.750 ± 0.062" in shown
    assert "accuracy" not in shown
    watched = gblend("watch", JOB_ID).stdout
    assert "train loss / r2" in watched
    assert "0.500 / 0.500" in watched
    regressed.jobs = [regressed.job, job("succeeded", result=RESULT)]
    listed = gblend("jobs").stdout
    assert "test score" in listed
    assert "0.750 r2" in listed
    assert "87.5 %" in listed


def test_submit(gblend: Any, service: Service, spec: str) -> None:
    service.job = job("queued")
    done = gblend("submit", spec, "--set", "training.epochs=5", "--set", "seed=7", "--name", "mine")
    assert done.exit_code == 0
    assert done.stdout == "job_01 queued (digits)\n"
    assert done.stderr == f"watch it: gblend watch job_01, or at {service.url}/jobs/job_01\n"
    assert json.loads(service.requests[0].body) == {"name": "mine", "training": {"epochs": 5}, "seed": 7}


def test_submit_from_standard_input_as_json(gblend: Any, service: Service) -> None:
    done = gblend("submit", "-", "--json", "--idempotency-key", "k1", stdin="seed: 1\n")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["id"] == JOB_ID
    assert done.stderr == ""
    assert json.loads(service.requests[0].body) == {"seed": 1}
    assert service.requests[0].headers["idempotency-key"] == "k1"


def test_submit_shows_warnings(gblend: Any, service: Service, spec: str) -> None:
    warning = {"code": "split.small", "detail": "8 rows in test", "severity": "warning", "pointer": "#/dataset/split"}
    service.job = job("queued", warnings=[warning])
    assert "warning: #/dataset/split: 8 rows in test [split.small]" in gblend("submit", spec).stderr


REFUSAL = {
    "errors": [
        {
            "code": "column.missing",
            "detail": "the manifest has no column 'speeker'",
            "pointer": "#/dataset/modalities/1/column",
            "hint": "did you mean 'speaker'?",
        },
        {"code": "file.missing", "detail": "files are missing", "examples": ["a.png", "b.png"], "count": 9},
    ]
}


def test_a_refusal_shows_pointers_and_hints(gblend: Any, service: Service, spec: str) -> None:
    service.script("POST /v1/jobs", problem(422, "spec.invalid", **REFUSAL))
    done = gblend("submit", spec)
    assert (done.exit_code, done.stdout) == (3, "")
    assert done.stderr == (
        "error: 422 spec.invalid: it is spec.invalid\n"
        "  error: #/dataset/modalities/1/column: the manifest has no column 'speeker' [column.missing]\n"
        "    hint: did you mean 'speaker'?\n"
        "  error: files are missing [file.missing]\n"
        "    for example: a.png, b.png (of 9)\n"
    )


def test_a_refusal_as_json(gblend: Any, service: Service, spec: str) -> None:
    service.script("POST /v1/jobs", problem(422, "spec.invalid", **REFUSAL))
    done = gblend("submit", spec, "--json")
    assert (done.exit_code, done.stdout) == (3, "")
    error = json.loads(done.stderr)["error"]
    assert (error["status"], error["code"], error["type"]) == (422, "spec.invalid", "Validation")
    assert error["errors"][0]["pointer"] == "#/dataset/modalities/1/column"


def test_validate_only(gblend: Any, service: Service, spec: str) -> None:
    done = gblend("submit", spec, "--validate-only")
    assert (done.exit_code, done.stdout) == (0, "the service would accept it\n")
    report = {"valid": False, "errors": REFUSAL["errors"], "warnings": []}
    service.script("POST /v1/jobs", Reply(200, report), Reply(200, report))
    done = gblend("submit", spec, "--validate-only")
    assert (done.exit_code, done.stdout) == (3, "the service would refuse it\n")
    assert "hint: did you mean 'speaker'?" in done.stderr
    done = gblend("submit", spec, "--validate-only", "--json")
    assert (done.exit_code, json.loads(done.stdout), done.stderr) == (3, report, "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["submit", "nowhere.yaml"], "cannot read nowhere.yaml"),
        (["submit", "{spec}", "--set", "oops"], "'oops' is no change"),
        (["submit", "{spec}", "--set", "training.epochs.x=1"], "there is no 'x'"),
        (["show", ".."], "'..' is no job id"),
        (["jobs", "--url", "ftp://x"], "is no address of a service"),
    ],
)
def test_wrong_input(gblend: Any, service: Service, spec: str, arguments: list[str], message: str) -> None:
    done = gblend(*(argument.replace("{spec}", spec) for argument in arguments))
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr
    assert service.requests == []


@pytest.mark.parametrize("arguments", [["submit"], ["watch"], ["oops"], ["jobs", "--limit", "0"], ["watch", "j", "-x"]])
def test_wrong_usage(gblend: Any, arguments: list[str]) -> None:
    done = gblend(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")


def test_nobody_there(gblend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gblend_client._drivers.time.sleep", lambda seconds: None)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        done = gblend("jobs", "--url", url)
        assert (done.exit_code, done.stdout) == (4, "")
        assert f"error: no answer from {url}" in done.stderr
        assert "hint: is the service running there?" in done.stderr
        assert "Traceback" not in done.stderr
        done = gblend("jobs", "--url", url, "--json")
        assert json.loads(done.stderr)["error"]["type"] == "ConnectionFailed"


def test_watch_without_a_terminal_prints_lines(gblend: Any, trained: Service) -> None:
    done = gblend("watch", JOB_ID)
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "03:04:05     1  job.created           The job waits"
    assert "job_01 succeeded" in lines
    assert "answer: fused (best on validation)" in lines
    assert re.search(r"fused\s+87\.5 ± 1\.0 %\s+0\.250\s+200\s+<- the answer", done.stdout)
    assert re.search(r"audio\s+0\.250\s+0\.500\s+0\.125\s+0\.250\s+0\.750 / 80\.0 %\s+1\.250 / 60\.0 %", done.stdout)
    assert "\x1b" not in done.stdout + done.stderr


def test_watch_as_json_lines(gblend: Any, trained: Service) -> None:
    trained.cuts = [500, 900]
    done = gblend("watch", JOB_ID, "--json", "--after", "1")
    assert (done.exit_code, done.stderr) == (0, "")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line.get("seq") for line in lines] == [2, 3, 4, 5, 6, 7, None]
    assert (lines[-1]["object"], lines[-1]["status"]) == ("job", "succeeded")
    assert lines[3]["data"] == trained.events[4]["data"]


def test_submit_and_watch(gblend: Any, trained: Service, spec: str) -> None:
    done = gblend("submit", spec, "--watch", "--json")
    assert done.exit_code == 0
    assert [json.loads(line)["object"] for line in done.stdout.splitlines()] == ["job", *["job.event"] * 7, "job"]


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_job_that_did_not_succeed(gblend: Any, service: Service, status: str) -> None:
    error = {"code": "data.invalid", "message": "a.png is no image", "hint": "look at it", "errors": []}
    service.job = job(status, status_reason="data", error=error if status == "failed" else None)
    done = gblend("watch", JOB_ID)
    assert done.exit_code == 1
    assert done.stdout.splitlines()[-1] == f"job_01 {status} (data)"
    assert ("data.invalid: a.png is no image" in done.stderr) == (status == "failed")
    assert gblend("watch", JOB_ID, "--json").exit_code == 1


def test_jobs(gblend: Any, service: Service) -> None:
    assert gblend("jobs").stderr == "no jobs\n"
    service.jobs = [job("running", progress={"percent": 41.5, "totals": {}}), job("succeeded", result=RESULT)]
    done = gblend("jobs", "--limit", "5", "--status", "running")
    assert re.search(r"job_01\s+running\s+42 %\s+2026-01-02 03:04:05 UTC\s+digits", done.stdout)
    assert re.search(r"job_01\s+succeeded\s+87\.5 %", done.stdout)
    listed = json.loads(gblend("jobs", "--json").stdout)
    assert [row["status"] for row in listed["data"]] == ["running", "succeeded"]


def test_show(gblend: Any, trained: Service) -> None:
    done = gblend("show", JOB_ID)
    assert done.exit_code == 0
    assert re.search(r"strategy\s+online", done.stdout)
    assert re.search(r"0\s+1-5\s+audio\s+0\.250\s+0\.500\s+0\.125\s+0\.250", done.stdout)
    assert re.search(r"fused\s+0\.750\s+0\.500-0\.900", done.stdout)
    assert "<- the answer" in done.stdout
    assert re.search(r"modality\s+accuracy when shuffled\s+drop", done.stdout)
    assert re.search(r"audio\s+0\.625\s+0\.250 ± 0\.020", done.stdout)
    assert "flags: shift_suspected" in done.stderr
    assert json.loads(gblend("show", JOB_ID, "--json").stdout) == trained.job


def test_weights(gblend: Any, trained: Service) -> None:
    assert "audio" in gblend("weights", JOB_ID).stdout
    assert json.loads(gblend("weights", JOB_ID, "--json").stdout)["data"] == trained.super_epochs
    trained.super_epochs = []
    assert gblend("weights", JOB_ID).stderr == "no super-epochs yet\n"


def test_cancel(gblend: Any, service: Service) -> None:
    assert gblend("cancel", JOB_ID).stdout == "job_01 cancelling (digits)\n"
    assert json.loads(gblend("cancel", JOB_ID, "--json").stdout)["status"] == "cancelling"
    service.script(f"POST /v1/jobs/{JOB_ID}/cancel", problem(409, "job.state", hint="submit a new one"))
    done = gblend("cancel", JOB_ID)
    assert (done.exit_code, done.stdout) == (3, "")
    assert "hint: submit a new one" in done.stderr


def test_download(gblend: Any, service: Service, tmp_path: Path) -> None:
    service.files = {"model.safetensors": b"weights", "history/metrics.json": b"{}"}
    dest = tmp_path / "out"
    done = gblend("download", JOB_ID, "--dest", str(dest))
    assert done.stdout.splitlines() == [str(dest / "model.safetensors"), str(dest / "history/metrics.json")]
    done = gblend("download", JOB_ID, "model.safetensors", "--dest", str(dest), "--json")
    assert json.loads(done.stdout)["data"] == [{"path": str(dest / "model.safetensors")}]
    assert gblend("download", JOB_ID, "oops", "--dest", str(dest)).exit_code == 2
    service.script(f"GET /v1/jobs/{JOB_ID}/artifacts/model.safetensors", Reply(200, b"weighty"))
    (dest / "model.safetensors").unlink()
    done = gblend("download", JOB_ID, "--dest", str(dest))
    assert done.exit_code == 4
    assert "does not have the sha256" in done.stderr


def test_events(gblend: Any, trained: Service) -> None:
    done = gblend("events", JOB_ID, "--after", "5")
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["6", "7"]
    done = gblend("events", JOB_ID, "--type", "run.started", "--limit", "3", "--json")
    assert [json.loads(line)["seq"] for line in done.stdout.splitlines()] == [3]


def test_what_the_service_says_cannot_command_the_terminal(gblend: Any, service: Service) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J[red]x[/red]\r\nnext"
    service.events = [event(1, message=evil)]
    service.jobs = [job(name=evil)]
    service.job = job("failed", name=evil, error={"code": "x", "message": evil})
    for arguments in (["events", JOB_ID], ["jobs"], ["show", JOB_ID], ["watch", JOB_ID]):
        done = gblend(*arguments)
        printed = done.stdout + done.stderr
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", printed), arguments
        assert "[red]x[/red] next" in printed, arguments


def test_help_names_every_command_and_exit_code(gblend: Any) -> None:
    text = gblend("--help").stdout
    for command in (
        "submit",
        "watch",
        "jobs",
        "compare",
        "experiments",
        "show",
        "cancel",
        "download",
        "events",
        "weights",
    ):
        assert command in text
        options = gblend(command, "--help").stdout
        assert "--json" in options
        assert "--url" in options
    for code in ("0", "1", "2", "3", "4", "130"):
        assert re.search(rf"\b{code}\b", text)
    assert gblend("--version").stdout == "gblend-client 0.1.0\n"


def start(service: Service, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    """The command as a process of its own."""
    environment = {**os.environ, "GBLEND_URL": service.url, "PYTHONUNBUFFERED": "1", "TERM": "xterm", "COLUMNS": "120"}
    return subprocess.Popen([sys.executable, "-c", CODE, *arguments], env=environment, **options)


def test_ctrl_c_stops_the_watching_only(trained: Service) -> None:
    trained.hold_stream.clear()
    process = start(trained, "watch", JOB_ID, "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    for _ in range(7):
        assert process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=DEADLINE)
    assert (process.returncode, out) == (130, b"")
    assert err.decode() == (
        "stopped watching; the job goes on. Watch further: gblend watch job_01 --after 7\n"
        "Stop it: gblend cancel job_01\n"
    )
    assert not any(request.method == "POST" for request in trained.requests)


def test_a_reader_that_goes_away(trained: Service) -> None:
    process = start(trained, "watch", JOB_ID, "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.wait(DEADLINE) == 141
    assert process.stderr.read() == b""
    process.stderr.close()


def test_a_terminal_gets_a_live_table(trained: Service) -> None:
    trained.hold_stream.clear()
    progress = {"percent": 42.0, "eta_seconds": 75.0, "epoch": 4, "totals": {"epochs": 20}}
    trained.job = job("running", progress=progress)
    ours, theirs = pty.openpty()
    process = start(trained, "watch", JOB_ID, stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True)
    os.close(theirs)
    seen = _read_until(ours, "1 min 15 s left")
    assert "\x1b[" in seen
    picture = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen)
    assert re.search(r"running\s+training\s+super-epoch 1/2\s+epoch 4/20", picture)
    assert re.search(r"audio\s+0\.250\s+0\.500\s+0\.125\s+0\.250\s+0\.750 / 80\.0 %", picture)
    trained.job = job("succeeded", result=RESULT)
    trained.hold_stream.set()
    end = _read_until(ours, "job_01 succeeded")
    assert "<- the answer" in end
    assert process.wait(DEADLINE) == 0
    os.close(ours)


def _read_until(terminal: int, text: str) -> str:
    seen = b""
    while text not in seen.decode(errors="replace"):
        ready, _, _ = select.select([terminal], [], [], DEADLINE)
        assert ready, seen.decode(errors="replace")
        seen += os.read(terminal, 65536)
    return seen.decode(errors="replace")
