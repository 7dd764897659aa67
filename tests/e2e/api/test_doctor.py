"""`gblend-server doctor`: what is well, what is not, what to do; never a password."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from api.cli import app
from api.doctor import Finding, as_text, diagnose
from api.doctor.machine import check_gpus
from core.jobs.figures import FigureService
from core.jobs.service import JobService
from core.jobs.units import UnitService
from core.jobs.workers import WorkerFacts, WorkerService
from core.persistence import Database
from core.settings import EngineSettings
from tests.e2e.api.live import write_manifest
from tests.integration.engine import samples
from tests.servers import RedisServer, free_port, wait_until

Environment = Callable[..., dict[str, str]]


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """Sets the variables of a deployment, and returns them."""
    for name in ("GBLEND_URL", "GBLEND_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    # torch is asked in a process of its own, which takes seconds: one test does it for all.
    monkeypatch.setattr("api.doctor.machine._ASK_TORCH", "print('[\"0\", false, 0]')")

    def set_up(**variables: str) -> dict[str, str]:
        monkeypatch.setenv("GBLEND_STATE_DIR", str(tmp_path / "state"))
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return dict(os.environ)

    return set_up


@pytest.fixture
def migrated(tmp_path: Path, _migrated_sqlite: Path) -> Path:
    """A state folder with a database and data."""
    write_manifest(tmp_path / "state" / "data")
    shutil.copyfile(_migrated_sqlite, tmp_path / "state" / "gblend.sqlite3")
    return tmp_path / "state"


def _by_check(findings: Sequence[Finding]) -> dict[str, Finding]:
    return {finding.check: finding for finding in findings}


def _statuses(findings: Sequence[Finding]) -> dict[str, str]:
    return {finding.check: finding.status for finding in findings if finding.status != "ok"}


def test_a_healthy_machine(environment: Environment, migrated: Path) -> None:
    variables = environment()
    _worker(migrated)
    findings = diagnose(variables)
    assert _statuses(findings) == {}
    assert list(_by_check(findings)) == [
        *("settings", "state folder", "database", "SQLite", "migrations", "clock", "workers", "queues", "leases"),
        *("broker", "artifacts", "data root", "models root", "GPUs", "torch"),
    ]
    assert not list((migrated / "artifacts").rglob("*probe*"))
    assert as_text(findings).endswith("15 checks, 0 problems, 0 warnings")


def test_nothing_is_made_where_nothing_is(environment: Environment, tmp_path: Path) -> None:
    findings = diagnose(environment(GBLEND_ARTIFACTS__URL=(tmp_path / "elsewhere").as_uri()))
    assert _statuses(findings) == {"database": "problem", "data root": "warning"}
    assert "gblend-server migrate" in str(_by_check(findings)["database"].hint)
    assert not (tmp_path / "state").exists()


def test_an_empty_database_and_an_old_one_wait_for_a_migration(environment: Environment, migrated: Path) -> None:
    path = migrated / "gblend.sqlite3"
    for prepare in (_empty, _older):
        prepare(path)
        found = _by_check(diagnose(environment()))
        assert found["database"].status == "ok"
        assert (found["migrations"].status, found["migrations"].hint) == ("problem", "run `gblend-server migrate`")
        assert "clock" not in found


def _older(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        connection.execute("INSERT INTO alembic_version VALUES ('0001')")
    connection.close()


def _empty(path: Path) -> None:
    path.unlink()
    sqlite3.connect(path).close()


def test_a_database_of_a_newer_version(environment: Environment, migrated: Path) -> None:
    with sqlite3.connect(migrated / "gblend.sqlite3") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    found = _by_check(diagnose(environment()))["migrations"]
    assert found.status == "problem"
    assert "newer version" in found.found


def test_a_writer_that_does_not_let_go(environment: Environment, migrated: Path) -> None:
    holder = sqlite3.connect(migrated / "gblend.sqlite3", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    found = _by_check(diagnose(environment()))["SQLite"]
    holder.close()
    assert (found.status, "write lock" in found.found) == ("warning", True)


def test_a_database_that_is_away_and_a_broker_that_is(environment: Environment, migrated: Path) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    findings = diagnose(
        environment(
            GBLEND_DATABASE__URL=f"postgresql://gblend:hunter2@{nowhere}/gblend",
            GBLEND_BROKER__URL=f"redis://:hunter2@{nowhere}/0",
        )
    )
    assert _statuses(findings) == {"database": "problem", "broker": "problem"}
    found = _by_check(findings)
    assert f"postgresql://gblend:***@{nowhere}/gblend" in found["database"].found
    assert f"redis://:***@{nowhere}/0" in found["broker"].found
    assert "hunter2" not in as_text(findings)


@pytest.mark.parametrize("url", ["hunter2", "nonsense://user:hunter2@host/x", "mysql://user:hunter2@host/x"])
def test_urls_that_are_none_do_not_show_what_is_in_them(environment: Environment, migrated: Path, url: str) -> None:
    findings = diagnose(environment(GBLEND_BROKER__URL=url))
    assert _by_check(findings)["broker"].status == "problem"
    assert "hunter2" not in as_text(findings)
    findings = diagnose(environment(GBLEND_DATABASE__URL=url))
    assert _statuses(findings) == {"settings": "problem"}
    assert "GBLEND_DATABASE__URL: use sqlite:///path" in as_text(findings)
    assert "hunter2" not in as_text(findings)


def test_a_broker_that_answers(environment: Environment, migrated: Path, redis_server: RedisServer) -> None:
    found = _by_check(diagnose(environment(GBLEND_BROKER__URL=redis_server.url)))["broker"]
    assert (found.status, found.found) == ("ok", f"{redis_server.url} answers")


def test_postgresql(environment: Environment, migrated: Path, postgres_url: str) -> None:
    found = _by_check(diagnose(environment(GBLEND_DATABASE__URL=postgres_url)))
    assert [found[name].status for name in ("database", "migrations", "clock", "leases")] == ["ok"] * 4
    assert "SQLite" not in found


def test_artifacts_and_folders_that_cannot_be_used(environment: Environment, migrated: Path) -> None:
    (migrated / "a-file").write_text("in the way")
    findings = diagnose(
        environment(
            GBLEND_ARTIFACTS__URL=(migrated / "a-file" / "store").as_uri(),
            GBLEND_ROOTS__DATA=str(migrated / "missing"),
            GBLEND_ROOTS__MODELS=str(migrated / "a-file"),
            GBLEND_STATE_DIR=str(migrated),
        )
    )
    assert _statuses(findings) == {
        "workers": "warning",
        "artifacts": "problem",
        "data root": "problem",
        "models root": "problem",
    }
    found = _by_check(findings)
    assert found["data root"].found == f"{migrated / 'missing'} does not exist"
    assert "GBLEND_ROOTS__DATA" in str(found["data root"].hint)
    assert "GBLEND_ARTIFACTS__URL" in str(found["artifacts"].hint)


def test_settings_that_are_none(environment: Environment, migrated: Path) -> None:
    findings = diagnose(environment(GBLEND_DATABSE__URL="sqlite:///x:hunter2@y"))
    (first, *_) = findings
    assert (first.status, "GBLEND_DATABSE__URL" in first.found) == ("warning", True)
    assert "hunter2" not in as_text(findings)
    (only,) = diagnose(environment(GBLEND_API__PORT="hunter2"))
    assert only.status == "problem"
    assert "GBLEND_API__PORT" in only.found
    assert "hunter2" not in only.found


def test_work_that_nobody_does(environment: Environment, migrated: Path) -> None:
    engine = EngineSettings(lease_seconds=0.1, heartbeat_seconds=0.02, self_fence_seconds=0.1)
    database = Database(f"sqlite:///{migrated / 'gblend.sqlite3'}")
    for queue in ("default", "large"):
        JobService(database, max_attempts=3).submit(samples.spec(scheduling={"queue": queue}))
    JobService(database, max_attempts=3).submit(samples.spec(scheduling={"queue": "lost"}))
    assert UnitService(database, engine).claim_next(["lost"], "gone") is not None
    wait_until(lambda: FigureService(database, engine).overdue(seconds=0.03) == 1, "the lease to be overdue")
    database.close()
    _worker(migrated)  # listens on `default` alone
    findings = diagnose(environment(GBLEND_ENGINE__REAP_SECONDS="0.01"))
    assert _statuses(findings) == {"queues": "problem", "leases": "problem"}
    found = _by_check(findings)
    assert found["queues"].hint == "start one: `gblend-server worker --queue large`"
    assert found["leases"].found.startswith("1 lease ran out")


def test_work_that_is_too_large_for_everybody(environment: Environment, migrated: Path) -> None:
    database = Database(f"sqlite:///{migrated / 'gblend.sqlite3'}")
    for devices in (1, 2, 3):
        JobService(database, max_attempts=3).submit(samples.spec(scheduling={"devices": devices}))
    database.close()
    _worker(migrated)  # has one slot
    findings = diagnose(environment())
    assert _statuses(findings) == {"queues": "problem"}
    assert _by_check(findings)["queues"].found == (
        "2 units in the queue 'default' for more devices than any living worker there has slots"
    )


def _worker(state: Path) -> None:
    database = Database(f"sqlite:///{state / 'gblend.sqlite3'}")
    facts = WorkerFacts(host="h", pid=1, version="0", queues=("default",), slots=1, gpus=())
    WorkerService(database, EngineSettings()).register(facts)
    database.close()


def test_the_command(environment: Environment, migrated: Path) -> None:
    environment()
    done = CliRunner().invoke(app, ["doctor"], catch_exceptions=False)
    assert done.exit_code == 0
    assert "warning  workers: no worker is alive\n           -> start one: `gblend-server worker`" in done.stdout
    done = CliRunner().invoke(app, ["doctor", "--json", "--models", str(migrated)], catch_exceptions=False)
    said: dict[str, Any] = json.loads(done.stdout)
    assert (done.exit_code, said["healthy"]) == (0, True)
    assert said["checks"][0]["check"] == "settings"
    (migrated / "gblend.sqlite3").unlink()
    done = CliRunner().invoke(app, ["doctor", "--json"], catch_exceptions=False)
    assert (done.exit_code, json.loads(done.stdout)["healthy"]) == (1, False)


def test_torch_is_really_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_check = _by_check(list(check_gpus({**os.environ, "CUDA_VISIBLE_DEVICES": ""})))
    assert by_check["GPUs"].found == "none visible: trainings run on the CPU"
    assert (by_check["torch"].status, "CPU only" in by_check["torch"].found) == ("ok", True)
    monkeypatch.setattr("api.doctor.machine._ASK_TORCH", "import no_such_torch")
    broken = _by_check(list(check_gpus(dict(os.environ))))["torch"]
    assert (broken.status, "No module named 'no_such_torch'" in broken.found) == ("problem", True)
    monkeypatch.setattr("api.doctor.machine._ASK_TORCH", "print('[\"2\", false, 0]')")
    blind = _by_check(list(check_gpus({**os.environ, "CUDA_VISIBLE_DEVICES": "0"})))["torch"]
    assert blind.status == "warning"
