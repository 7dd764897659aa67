"""Queues, the watchdog, revisions: what of the fleet needs no database."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from pydantic import TypeAdapter, ValidationError

from core.jobs.broker import queue_name
from core.persistence.migrate import _config
from core.persistence.schema import revisions
from core.settings import BrokerSettings, QueueName, Settings
from core.spec import scheduling
from worker.rundir import RunDirectory
from worker.watchdog import Watchdog


def test_queues_come_from_the_environment_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().worker.queues == ("default",)
    monkeypatch.setenv("GBLEND_WORKER__QUEUES", "gpu, default,big-memory")
    assert Settings().worker.queues == ("gpu", "default", "big-memory")
    for wrong in ("", "GPU", "gpu,,default", "../etc", '["gpu"]'):
        monkeypatch.setenv("GBLEND_WORKER__QUEUES", wrong)
        with pytest.raises(ValidationError, match="queues"):
            Settings()


def test_models_of_a_hub_are_allowed_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().features.allow_hub == ()
    for text, wanted in {
        "": (),
        "*": ("*",),
        "google-bert/*, acme/encoder_2.1": ("google-bert/*", "acme/encoder_2.1"),
    }.items():
        monkeypatch.setenv("GBLEND_FEATURES__ALLOW_HUB", text)
        assert Settings().features.allow_hub == wanted
    for wrong in ("acme", "acme/", "*/*", "acme/*x", "a/b/c", "acme/b,,acme/c"):
        monkeypatch.setenv("GBLEND_FEATURES__ALLOW_HUB", wrong)
        with pytest.raises(ValidationError, match="allow_hub"):
            Settings()


def test_the_hubs_endpoint_is_a_url_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().features.hub_endpoint is None
    monkeypatch.setenv("GBLEND_FEATURES__HUB_ENDPOINT", "https://mirror.example:8443/api/hub/")
    assert Settings().features.hub_endpoint == "https://mirror.example:8443/api/hub"
    for wrong in (
        "mirror.example",
        "ftp://mirror.example",
        "https://me:secret@mirror.example",
        "https://m.example?a=b",
    ):
        monkeypatch.setenv("GBLEND_FEATURES__HUB_ENDPOINT", wrong)
        with pytest.raises(ValidationError, match="hub_endpoint"):
            Settings()


def test_a_worker_and_a_spec_mean_the_same_by_a_queues_name() -> None:
    ours, theirs = (TypeAdapter(kind).json_schema()["pattern"] for kind in (QueueName, scheduling.QueueName))
    assert ours == theirs


def test_each_class_has_a_queue_of_its_own_and_default_the_one_it_always_had() -> None:
    assert queue_name(Settings(), "default") == "gblend.units"
    assert queue_name(Settings(), "gpu") == "gblend.units.gpu"
    assert queue_name(Settings(broker=BrokerSettings(queue="lab")), "gpu") == "lab.gpu"


def test_the_revisions_are_those_that_alembic_finds() -> None:
    walked = ScriptDirectory.from_config(_config()).walk_revisions()
    assert [script.revision for script in walked][::-1] == list(revisions())


class Watched:
    """A watchdog of 100 s over a run directory, and the clock that it looks at."""

    def __init__(self, folder: Path, patience: float = 100.0) -> None:
        self.run = RunDirectory(folder)
        self.moment = 5000.0
        self.dog = Watchdog(self.run, patience, clock=lambda: self.moment)

    def after(self, seconds: float) -> bool:
        """Whether it barks, having looked every ten seconds until then."""
        for _ in range(int(seconds / 10.0)):
            self.moment += 10.0
            if self.dog.is_stalled():
                return True
        return False


def test_the_watchdog_waits_for_journal_or_progress_to_change(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    assert not watched.after(100.0)
    watched.run.journal.write_text("one\n")
    assert not watched.after(100.0)
    (tmp_path / "progress.json").write_text("{}")
    assert not watched.after(100.0)
    (tmp_path / "progress.json").write_text("{}")  # the same once more is no progress
    (tmp_path / "child.log").write_text("still here")
    assert watched.after(20.0)


def test_the_watchdog_forgives_when_nobody_looked(tmp_path: Path) -> None:
    """A laptop's lid was closed, or the worker stopped: the child may have been suspended as well."""
    watched = Watched(tmp_path)
    watched.moment += 1_000_000.0
    assert not watched.dog.is_stalled()
    assert not watched.after(100.0)
    assert watched.after(20.0)


def test_the_watchdog_can_be_switched_off(tmp_path: Path) -> None:
    assert not Watched(tmp_path, 0.0).after(100_000.0)
