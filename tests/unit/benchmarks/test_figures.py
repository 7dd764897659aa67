"""The table of the reliability figures: verdicts by hand."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from benchmarks.reliability.figures import Figure, at_most, none_of, percentile, table
from benchmarks.reliability.idle import cpu_seconds, family
from benchmarks.reliability.streaming import faults


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 2.0), (0.75, 3.0), (0.76, 4.0), (0.95, 4.0), (1.0, 4.0), (0.0, 1.0)]
)
def test_percentiles_are_values_that_were_measured(share: float, expected: float) -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], share) == expected


def test_a_limit_holds_for_its_share() -> None:
    values = [0.1] * 19 + [9.0]
    assert at_most("delay", "SQLite", values, 0.25, share=0.95).reached is True
    assert at_most("delay", "SQLite", values, 0.25).reached is False
    assert at_most("delay", "SQLite", values, 0.25, share=0.95).measured == "median 0.1, p95 0.1, max 9 s (n = 20)"
    assert at_most("delay", "SQLite", [], 0.25).reached is False


def test_what_is_missed_stands_out() -> None:
    figures = [
        none_of("events lost", "SQLite", 1, "7 events"),
        none_of("events doubled", "SQLite", 0, "7 events"),
        Figure(what="claims", where="SQLite", measured="12", target="", reached=None),
    ]
    assert table(figures).splitlines()[2:] == [
        "| events lost | SQLite | 1 of 7 events | 0 | **no** |",
        "| events doubled | SQLite | 0 of 7 events | 0 | yes |",
        "| claims | SQLite | 12 |  |  |",
    ]


@pytest.mark.parametrize(
    ("seqs", "lost", "doubled", "disordered"),
    [([1, 2, 3, 4], 0, 0, 0), ([1, 2, 4], 1, 0, 0), ([1, 2, 2, 3, 4], 0, 1, 0), ([1, 3, 2, 4], 0, 0, 1)],
)
def test_a_follower_finds_what_is_wrong(seqs: list[int], lost: int, doubled: int, disordered: int) -> None:
    assert faults(seqs, 4) == {"lost": lost, "doubled": doubled, "out of order": disordered}


def test_a_process_its_descendants_and_its_cpu_time() -> None:
    script = "import subprocess, sys; subprocess.run(['cat'], stdin=sys.stdin)"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE) as process:
        while len(found := family(process.pid)) < 2:
            assert process.poll() is None
        assert found[0] == process.pid
        process.communicate()
    assert 0 < cpu_seconds(os.getpid()) < 10_000
