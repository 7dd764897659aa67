"""Runs the measurements and prints their table; exit status 1 where a promise is not kept.

python -m benchmarks.reliability                      everything, about eleven minutes
python -m benchmarks.reliability --quick              fewer jobs, kills and seconds: whether it all works
python -m benchmarks.reliability --only stop --on sqlite
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

from benchmarks.reliability import claims, idle, recovery, stopping, streaming
from benchmarks.reliability.deployments import POSTGRESQL, SQLITE, Backend, backend, deployment, missing, start_all
from benchmarks.reliability.figures import Figure, table

BACKENDS = {"sqlite": SQLITE, "postgresql": POSTGRESQL}
MEASUREMENTS = ("idle", "stream", "stop", "recover", "claim")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much of everything, per backend."""

    idle_seconds: float = 30.0
    stream_seconds: float = 45.0
    cancels: int = 24
    pauses: int = 8
    frozen: int = 4
    kills: int = 3
    units: int = 2000


QUICK = Scale(idle_seconds=10.0, stream_seconds=25.0, cancels=4, pauses=2, frozen=1, kills=1, units=300)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, judge."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _leave)
    scale = QUICK if options.quick else Scale()
    wanted = set(options.only or MEASUREMENTS)
    print(f"gblend, what the engine promises: {os.cpu_count()} cores, {platform.machine()}\n", flush=True)
    figures: list[Figure] = []
    for key in options.on or BACKENDS:
        if BACKENDS[key] == POSTGRESQL and (why := missing()):
            print(f"NOT MEASURED on {BACKENDS[key]}: {why}", file=sys.stderr)
            continue
        try:
            with backend(BACKENDS[key]) as on:
                _all(on, scale, wanted, figures, both=bool(options.on))
        except BaseException:
            print(table(figures), flush=True)  # what was measured until then
            raise
    print(table(figures))
    return int(any(figure.reached is False for figure in figures))


def _all(on: Backend, scale: Scale, wanted: set[str], figures: list[Figure], *, both: bool) -> None:
    """Adds to `figures`. `both`: measure recoveries on this backend even where one of them is enough."""

    def step(name: str, work: Callable[[], list[Figure]]) -> None:
        if name in wanted:
            began = time.monotonic()
            figures.extend(work())
            print(f"reliability: {name} on {on.name}: {time.monotonic() - began:.0f} s", file=sys.stderr)

    step("claim", lambda: claims.measure(on.name, on.database_url, scale.units))
    if wanted & {"idle", "stream", "stop"}:
        with deployment(on) as service:
            start_all(service, on)
            step("idle", lambda: idle.measure(service, on.name, scale.idle_seconds))
            step("stream", lambda: streaming.measure(service, on.name, scale.stream_seconds))
            step(
                "stop",
                lambda: stopping.measure(
                    service, on.name, cancels=scale.cancels, pauses=scale.pauses, frozen=scale.frozen
                ),
            )
    if both or on.name == POSTGRESQL:
        with deployment(on) as service:
            step("recover", lambda: recovery.measure(service, on.name, scale.kills))


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    """Unwinds, so that nothing which was started stays behind."""
    sys.exit(128 + number)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.reliability",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="fewer jobs, kills and seconds")
    parser.add_argument("--only", action="append", choices=MEASUREMENTS, help="only this (may be repeated)")
    parser.add_argument("--on", action="append", choices=tuple(BACKENDS), help="only on this database (likewise)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
