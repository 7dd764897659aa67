"""`gblend-server`: everything up, everything down, whatever happens to whom."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from api.cli import app
from tests.e2e.api.live import toy_spec, write_manifest
from tests.servers import free_port, is_running, wait_until

ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("GBLEND_")}
SECONDS = 60.0


def _server(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "api.cli", *arguments],
        cwd=ROOT,
        env=ENVIRONMENT | environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def _children(pid: int) -> dict[str, int]:
    """The service's processes by what they are."""
    found: dict[str, int] = {}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        command = Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
        found["worker" if "worker" in command.split("--parent-pid")[0] else "api"] = int(child)
    return found


class Up:
    """A running `gblend-server up`."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url

    def children(self) -> dict[str, int]:
        """Its processes."""
        return _children(self.process.pid)


@contextmanager
def _up(state: Path) -> Iterator[Up]:
    with (state.parent / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "api.cli", "up", "--port", "0", "--state-dir", str(state), "--workers", "1"],
            cwd=ROOT,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("gblend: ready at http://127.0.0.1:"), (state.parent / "log").read_text()
        yield Up(process, line.split()[-1])
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(SECONDS)
        process.stdout.close()


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder."""
    return tmp_path_factory.mktemp("up") / "state"


def test_up_serves_heals_and_goes_without_a_trace(state: Path) -> None:
    with _up(state) as up:
        assert httpx.get(f"{up.url}/readyz").status_code == 200
        before = up.children()
        assert set(before) == {"api", "worker"}
        for name in ("worker", "api"):
            os.kill(before[name], signal.SIGKILL)
            wait_until(lambda name=name: up.children().get(name, before[name]) != before[name], name, seconds=SECONDS)
        wait_until(lambda: _answers(up.url), "the API answers again at the same address", seconds=SECONDS)
        children = up.children()
        up.process.send_signal(signal.SIGINT)
        assert up.process.wait(SECONDS) == 0
        assert not [name for name, pid in children.items() if is_running(pid)]


def test_what_up_started_ends_with_it_even_when_it_is_killed(state: Path) -> None:
    with _up(state) as up:
        children = up.children()
        up.process.kill()
        up.process.wait(SECONDS)
        for name, pid in children.items():
            wait_until(lambda pid=pid: not is_running(pid), f"{name} ends", seconds=SECONDS)


def test_sigterm_while_a_job_runs_gives_it_back_and_leaves_no_process(tmp_path: Path) -> None:
    """Training child included; the job waits for the next start, which is no failed attempt."""
    state = tmp_path / "state"
    write_manifest(state / "data")
    with _up(state) as up:
        job = httpx.post(f"{up.url}/v1/jobs", json=toy_spec(training={"epochs": 10_000})).json()
        where = f"{up.url}/v1/jobs/{job['id']}"
        wait_until(lambda: httpx.get(where).json()["status"] == "running", "the job to run", seconds=SECONDS)
        worker = up.children()["worker"]
        threads = Path(f"/proc/{worker}/task").glob("*/children")
        (training,) = [int(pid) for thread in threads for pid in thread.read_text().split()]
        up.process.send_signal(signal.SIGTERM)
        assert up.process.wait(SECONDS) == 0
        assert not is_running(worker)
        assert not is_running(training)
    database = sqlite3.connect(state / "gblend.sqlite3")
    assert database.execute("SELECT status, status_reason FROM job").fetchall() == [("queued", "worker_shutdown")]
    assert database.execute("SELECT state, failures FROM unit").fetchall() == [("ready", 0)]
    assert database.execute("SELECT count(*) FROM worker WHERE stopped_at IS NOT NULL").fetchone() == (1,)
    database.close()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("command", ["up", "api"])
def test_an_open_door_is_refused(tmp_path: Path, command: str) -> None:
    done = _server(command, "--host", "0.0.0.0", "--port", "0", "--state-dir", str(tmp_path / "s"))
    assert done.returncode == 2
    assert "--insecure-no-auth" in done.stderr
    assert not (tmp_path / "s").exists()


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = _server("up", "--port", port, "--state-dir", str(tmp_path))
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr


def test_migrate_then_the_api_alone(tmp_path: Path) -> None:
    """Its logs are JSON and tell no secrets; it never loads torch, not even to look at data."""
    for _ in range(2):
        done = _server("migrate", "--state-dir", str(tmp_path))
        assert (done.returncode, done.stdout) == (0, "gblend: the database is at the newest revision\n")
    write_manifest(tmp_path / "data")
    process = subprocess.Popen(
        [sys.executable, "-m", "api.cli", "api", "--port", "0", "--state-dir", str(tmp_path)],
        cwd=ROOT,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("gblend: api at http://127.0.0.1:")
    with httpx.Client(base_url=line.split()[-1], timeout=SECONDS) as client:
        assert client.post("/v1/jobs", json=toy_spec()).status_code == 201
        assert client.get("/v1/jobs?ticket=secret", headers={"X-Request-ID": "mine"}).status_code == 200
    assert "torch" not in Path(f"/proc/{process.pid}/maps").read_text()
    process.send_signal(signal.SIGINT)
    _, log = process.communicate(timeout=SECONDS)
    assert process.returncode == 0
    access = [entry for entry in map(json.loads, log.splitlines()) if entry["logger"] == "gblend.access"]
    assert [(entry["method"], entry["path"], entry["status"]) for entry in access] == [
        ("POST", "/v1/jobs", 201),
        ("GET", "/v1/jobs", 200),
    ]
    assert access[1]["request_id"] == "mine"
    assert "secret" not in log


def test_the_commands_are_these() -> None:
    done = CliRunner().invoke(app, ["--help"])
    assert done.exit_code == 0
    for command in ("up", "api", "worker", "migrate"):
        assert f" {command} " in done.stdout


def test_a_newer_schema_is_refused_by_every_command(tmp_path: Path) -> None:
    """With the status of a configuration that is wrong, and what to do; nothing is written."""
    folder = tmp_path / "s"
    assert _server("migrate", "--state-dir", str(folder)).returncode == 0
    database = sqlite3.connect(folder / "gblend.sqlite3")
    database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.commit()
    commands = (("migrate",), ("api", "--port", "0"), ("worker",), ("up", "--port", "0"))
    with ThreadPoolExecutor() as at_once:
        for done in at_once.map(lambda command: _server(*command, "--state-dir", str(folder)), commands):
            assert done.returncode == os.EX_CONFIG, done
            assert "start the newer version here" in done.stderr
            assert "Traceback" not in done.stderr
    assert database.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]
    assert database.execute("SELECT count(*) FROM worker").fetchall() == [(0,)]
    database.close()


def test_sigterm_ends_an_api_with_open_streams_and_no_failure(tmp_path: Path) -> None:
    assert _server("migrate", "--state-dir", str(tmp_path)).returncode == 0
    write_manifest(tmp_path / "data")
    process = subprocess.Popen(
        [sys.executable, "-m", "api.cli", "api", "--port", "0", "--state-dir", str(tmp_path)],
        cwd=ROOT,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with httpx.Client(base_url=process.stdout.readline().split()[-1], timeout=SECONDS) as client:
        job = client.post("/v1/jobs", json=toy_spec()).json()
        with client.stream("GET", f"/v1/jobs/{job['id']}/events/stream") as stream:
            lines = stream.iter_lines()
            assert any(line.startswith("id: 1") for line in lines)
            process.send_signal(signal.SIGTERM)
            assert "event: done" not in list(lines)  # the stream has ended, the job has not
    _, log = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, log
    assert "Traceback" not in log


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("GBLEND_ENGINE__LEASE_SECONDS", "5", "GBLEND_ENGINE: engine: heartbeat_seconds < self_fence_seconds"),
        ("GBLEND_API__PORT", "http", "GBLEND_API__PORT: Input should be a valid integer"),
        ("GBLEND_DATABASE__URL", "mysql://u:hush@h/x", "GBLEND_DATABASE__URL: use sqlite:///path or postgresql://"),
        ("GBLEND_DATABASE__URL", "hush", "GBLEND_DATABASE__URL: use sqlite:///path or postgresql://"),
    ],
)
@pytest.mark.parametrize("command", ["up", "worker"])
def test_a_setting_that_cannot_be_read_is_named(
    tmp_path: Path, command: str, variable: str, value: str, said: str
) -> None:
    done = _server(command, "--state-dir", str(tmp_path / "state"), **{variable: value})
    assert done.returncode == os.EX_CONFIG
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "hush" not in done.stderr


@pytest.mark.parametrize("command", [("up", "--port", "0"), ("migrate",)])
def test_a_database_that_does_not_answer_is_said_in_a_sentence(tmp_path: Path, command: tuple[str, ...]) -> None:
    url = f"postgresql://u:hush@127.0.0.1:{free_port()}/x"
    done = _server(*command, "--state-dir", str(tmp_path / "state"), GBLEND_DATABASE__URL=url)
    assert done.returncode == os.EX_UNAVAILABLE
    assert "Connection refused" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "hush" not in done.stderr


@pytest.mark.parametrize("command", [("up", "--port", "0"), ("migrate",)])
def test_a_state_folder_that_cannot_be_made_is_named(tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "state").touch()
    done = _server(*command, "--state-dir", str(tmp_path / "state"))
    assert done.returncode == 2
    assert str(tmp_path / "state") in done.stderr
    assert len(done.stderr.splitlines()) == 1
