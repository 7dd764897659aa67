"""Make a small set of each modality type, train on it over HTTP, print what every head can do.

    python -m examples.worked                       # all of them
    python -m examples.worked tickets clips
    python -m examples.worked --keep FOLDER         # leave the data there, to look at or to change

Each takes well under a minute on two CPU cores. `digits.yaml` (image and audio) has its data in this repository; the
others are made here, by seeds: the same numbers everywhere. The exit status is 0 only if every job succeeded.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from gblend_client import Gblend, GblendError
from gblend_client.specfile import load

from examples._interrupts import Interrupted, Interrupts
from examples._runs import Run, explain, follow_all, submit_all
from examples._service import ROOT, ServiceError, own_service
from examples.worked import clips, gestures, tickets

MADE: dict[str, Callable[[Path], None]] = {
    "tickets": tickets.write,
    "gestures": gestures.write,
    "clips": clips.write,
}
EXAMPLES = ("digits", *MADE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the examples; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m examples.worked", description="Worked examples of every type.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(EXAMPLES)}; all by default")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where the data are made, and stay")
    chosen = parser.parse_args(arguments)
    if unknown := sorted(set(chosen.names) - set(EXAMPLES)):
        parser.error(f"there is no example {unknown[0]!r}; there are {', '.join(EXAMPLES)}")
    interrupts = Interrupts()
    try:
        with tempfile.TemporaryDirectory(prefix="gblend-worked-") as temporary:
            ok = run(chosen.names or list(EXAMPLES), chosen.keep or Path(temporary), interrupts)
    except Interrupted:
        ok = False
    except (ServiceError, GblendError) as error:
        print(explain(error) if isinstance(error, GblendError) else error)
        ok = False
    return interrupts.exit_status or (0 if ok else 1)


def run(names: Sequence[str], folder: Path, interrupts: Interrupts) -> bool:
    """Make the data of these examples below `folder` and train on each; whether all went well."""
    for name in names:
        if name in MADE:
            MADE[name](folder)
    runs: list[Run] = []
    for data, mine in (
        (ROOT / "examples", [n for n in names if n not in MADE]),
        (folder, [n for n in names if n in MADE]),
    ):
        if not mine:
            continue
        with own_service(data, interrupts) as url, Gblend(url) as gblend:
            for name in mine:
                spec = load(ROOT / "examples" / f"{name}.yaml")
                found = gblend.datasets.validate(spec)
                rows = "no rows" if found.statistics is None else f"{found.statistics.rows:,} rows"
                print(f"{name}: {rows}, {len(found.errors)} errors, {len(found.warnings)} warnings", flush=True)
                job = Run(strategy="online", seed=0, spec=spec)
                submit_all(gblend, [job], interrupts)
                follow_all(gblend, [job], interrupts)
                print(told(job), flush=True)
                runs.append(job)
    return all(job.succeeded for job in runs)


def told(job: Run) -> str:
    """What came of a job, in a line or two."""
    if not job.succeeded:
        return f"  failed: {job.problem}"
    heads = ", ".join(f"{head} {accuracy:.3f}" for head, accuracy in job.head_accuracy.items())
    weights = ", ".join(f"{head} {weight:.2f}" for head, weight in job.super_epochs[-1].weights.items())
    answer = job.job.result.answer if job.job is not None and job.job.result is not None else None
    answered = f"{answer}: {job.accuracy:.3f} ({job.seconds:.0f} s)"
    return f"  test accuracy: {heads}\n  last weights: {weights}\n  answered by {answered}"


if __name__ == "__main__":
    sys.exit(main())
