"""The lock, the Makefile and CI's entry point."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def pins() -> dict[str, str]:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    found = [re.fullmatch(r"([A-Za-z0-9._-]+)==([0-9][0-9a-z.]*)", line) for line in lines]
    assert None not in found, [line for line, match in zip(lines, found, strict=True) if match is None]
    return {canonical(match[1]): match[2] for match in found if match is not None}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def wanted() -> set[str]:
    """What the two pyproject files ask for directly, by name."""
    root = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    client = tomllib.loads((ROOT / "client" / "pyproject.toml").read_text())["project"]
    lines = [*root["dependencies"], *root["optional-dependencies"]["dev"], *client["dependencies"]]
    return {canonical(re.split(r"[^A-Za-z0-9._-]", line)[0]) for line in lines}


def test_the_lock_pins_everything_that_is_asked_for_and_names_no_place() -> None:
    assert wanted() - set(pins()) == {"gblend", "gblend-client"}, "but for our own"
    assert pins()["torch"] == "2.13.0"
    assert pins()["celery"].startswith("5.7.")


def test_ci_runs_lint_and_test() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    text = script.read_text()
    assert "set -euo pipefail" in text
    assert text.rstrip().endswith("make lint test")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files that `make setup` looks at, and nothing installed."""
    if shutil.which("make") is None:
        pytest.skip("NOT TESTED: make is not installed here")
    (tmp_path / "client").mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "client/pyproject.toml"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    return tmp_path


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", *arguments], cwd=folder, capture_output=True, text=True)


def test_make_lists_what_it_can_do(checkout: Path) -> None:
    done = make(checkout)
    assert done.returncode == 0
    listed = re.findall(r"^  make (\w+) ", done.stdout, flags=re.MULTILINE)
    assert listed == [
        "help",
        "setup",
        "demo",
        "serve",
        "test",
        "chaos",
        "lint",
        "format",
        "bench",
        "screenshots",
        "lock",
        "clean",
    ]


def test_an_old_python_is_named_before_anything_is_installed(checkout: Path) -> None:
    old = checkout / "python-old"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2 && exit 0\nexit 1\n')
    old.chmod(0o755)
    done = make(checkout, "setup", f"PYTHON={old}")
    assert done.returncode != 0
    assert "Python 3.11 to 3.14 is needed" in done.stderr
    assert "is Python 3.9.2" in done.stderr
    assert not (checkout / ".venv").exists()


def test_what_is_set_up_is_not_set_up_again(checkout: Path) -> None:
    done_file = checkout / ".venv" / ".setup-done"
    done_file.parent.mkdir()
    done_file.touch()
    assert make(checkout, "--question", ".venv/.setup-done").returncode == 0
    later = done_file.stat().st_mtime + 10
    os.utime(checkout / "constraints.txt", (later, later))
    assert make(checkout, "--question", ".venv/.setup-done").returncode == 1
