"""The points in a worker where the suite can kill it: around everything that claims, records, stores and finishes."""

from __future__ import annotations

from pathlib import Path

METHODS = (
    "units.claim_next",
    "run_directory.create",
    "units.record",
    "units.heartbeat",
    "artifacts.put",
    "units.succeed",
    "units.fail",
    "units.release",
    "supervisor._tidy",
)
POINTS = (*(f"{method}.{when}" for method in METHODS for when in ("before", "after")), "commit.before", "commit.after")
RARE = ("units.fail.before", "units.fail.after", "units.release.before", "units.release.after")
"""Passed only by units that fail or are given back."""
HELD = "commit.held"
"""The next worker that is about to commit waits there, as long as `held` exists."""
UNANSWERED = "commit.unanswered"
"""The next worker that commits is told that the connection broke; the commit is done."""


def arm(folder: Path, point: str) -> None:
    """The next worker that comes to the point dies there."""
    (folder / "failpoints").mkdir(parents=True, exist_ok=True)
    (folder / "failpoints" / point).touch()


def is_armed(folder: Path, point: str) -> bool:
    """Whether nobody has come to the point yet."""
    return (folder / "failpoints" / point).exists()


def disarm(folder: Path, point: str) -> bool:
    """Nobody need come there any more; whether nobody has."""
    try:
        (folder / "failpoints" / point).unlink()
    except FileNotFoundError:
        return False
    return True


def disarm_all(folder: Path) -> None:
    """Nobody need die any more."""
    for armed in (folder / "failpoints").glob("*"):
        armed.unlink(missing_ok=True)


def died(folder: Path) -> list[str]:
    """The points at which workers died so far."""
    return sorted(path.name.rpartition(".")[0] for path in (folder / "died").glob("*"))
