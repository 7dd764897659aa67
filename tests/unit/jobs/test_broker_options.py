"""What each kind of broker is told, by its URL alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.jobs.broker import celery_options, is_redis, transport_options
from core.settings import Settings
from worker.child import child_environment


def _settings(folder: Path, url: str | None) -> Settings:
    return Settings(state_dir=folder, broker={"url": url})


@pytest.mark.parametrize(
    ("url", "redis", "known"),
    [
        ("redis://h/0", True, "global_keyprefix"),
        ("rediss://:p@h/0", True, "global_keyprefix"),
        ("amqp://u:p@h//", False, "write_timeout"),
        ("amqps://u:p@h/v", False, "write_timeout"),
        ("pyamqp://h", False, "read_timeout"),
        (None, False, "data_folder_in"),
    ],
)
def test_options_fit_the_transport(tmp_path: Path, url: str | None, redis: bool, known: str) -> None:
    """An option of another transport is an argument that its connection does not know."""
    settings = _settings(tmp_path, url)
    options = transport_options(settings)
    assert known in options
    kinds = {"global_keyprefix", "write_timeout", "data_folder_in"}
    assert len(kinds & options.keys()) == 1
    assert is_redis(settings) is redis


def test_nobody_sends_heartbeats_that_nobody_would_answer(tmp_path: Path) -> None:
    assert celery_options(_settings(tmp_path, "amqp://h//"))["broker_heartbeat"] == 0


def test_a_training_gets_no_secret_of_the_store() -> None:
    own = {
        "PATH": "/bin",
        "AWS_SECRET_ACCESS_KEY": "x",
        "aws_session_token": "x",
        "FSSPEC_S3_SECRET": "x",
        "GBLEND_DATABASE__URL": "x",
        "GOOGLE_APPLICATION_CREDENTIALS": "x",
        "AZURE_STORAGE_ACCOUNT_KEY": "x",
    }
    assert set(child_environment(own, None)) == {"PATH", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_WAIT_POLICY"}
