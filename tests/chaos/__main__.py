"""The command line of the fault suite; `make chaos` runs it whole, on both back-ends."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

from tests.chaos import results
from tests.chaos.runner import run

RESULTS = Path("build/chaos.jsonl")


def main() -> int:
    """Exit status 1 where a run found a violation."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    runs = commands.add_parser("run", help="one run on one back-end; its result is added to the file")
    runs.add_argument("--backend", choices=["sqlite", "postgres"], required=True)
    runs.add_argument("--units", type=int, default=1500, help="jobs to submit; faults go with them (%(default)s)")
    runs.add_argument("--seed", type=int, default=1)
    runs.add_argument("--real", type=int, default=3, help="trainings among them that are real (%(default)s)")
    runs.add_argument("--minutes", type=float, default=15.0, help="no fault after so long (%(default)s)")
    runs.add_argument("--interval", type=float, default=1.2, help="seconds between two faults (%(default)s)")
    reports = commands.add_parser("report", help="what all runs in the file add up to")
    reports.add_argument("--into", type=Path, help="a page, in place of the results that stand there")
    for command in (runs, reports):
        command.add_argument("--results", type=Path, default=RESULTS, help="(%(default)s)")
    arguments = parser.parse_args()
    if arguments.command == "report":
        if not arguments.results.exists():
            parser.error(f"no run was written to {arguments.results} yet")
        summary = results.summary(results.read(arguments.results))
        if arguments.into is None:
            print(summary)
        else:
            arguments.into.write_text(results.replaced(arguments.into.read_text(), summary))
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    began = time.monotonic()
    result = run(
        arguments.backend,
        units=arguments.units,
        seed=arguments.seed,
        real=arguments.real,
        minutes=arguments.minutes,
        interval=arguments.interval,
        say=lambda said: print(f"[{time.monotonic() - began:6.1f}] {said}", file=sys.stderr, flush=True),
    )
    results.append(arguments.results, result)
    print(results.summary([result.as_json()]))
    return 1 if result.problems else 0


if __name__ == "__main__":
    sys.exit(main())
