"""Strategies x seeds of one job spec, compared by the service's experiments, on a service of its own if need be.

    python examples/compare.py examples/avdigits.yaml --data ../shared/data --seeds 5

Starts a service whose `data://` is `--data`, or uses the running one at `--url` (as `gblend compare` does, which needs
no script). The spec may be a job's or an experiment's. Prints the report in Markdown: means, paired differences, cost.
Exit status 0 only if every job succeeded.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gblend_client import Experiment, Gblend, GblendError
from gblend_client.cli.comparing import Wanted, experiment_of, report_format
from gblend_client.specfile import load

from examples._interrupts import Interrupted, Interrupts
from examples._runs import UNIMODAL, explain
from examples._service import ServiceError, own_service

_POLL_SECONDS = 1.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison; the exit status."""
    options = _parser().parse_args(arguments)
    interrupts = Interrupts()
    wanted = Wanted(strategies=options.strategies, seeds=options.seeds, changes=options.set)
    try:
        if options.report is not None:
            report_format(options.report)  # before anything is trained for it
        body = experiment_of(load(options.spec), wanted)
        with _service(options, interrupts) as url, Gblend(url) as gblend:
            made = gblend.experiments.submit(body)
            ended = follow(gblend, made, interrupts)
            return _tell(gblend, ended, options)
    except Interrupted:
        print("compare: interrupted", file=sys.stderr)
        return interrupts.exit_status
    except (ServiceError, GblendError) as error:
        print(f"compare: {explain(error) if isinstance(error, GblendError) else error}", file=sys.stderr)
        return 2


def follow(gblend: Gblend, experiment: Experiment, interrupts: Interrupts) -> Experiment:
    """The experiment once it has ended; a line on standard error for every job that begins or ends meanwhile.

    Asks in a loop of its own rather than with `watch`, so that an interrupt is seen within a tenth of a second.
    """
    began = time.monotonic()
    told: dict[str, str] = {}
    while True:
        for job in experiment.jobs:
            if told.get(job.job_id, "queued") != job.status:
                line = f"[{time.monotonic() - began:6.1f} s] {job.strategy}, seed {job.seed}: {job.status}"
                print(line, file=sys.stderr, flush=True)
            told[job.job_id] = job.status
        if experiment.is_terminal:
            return experiment
        until = time.monotonic() + _POLL_SECONDS
        while time.monotonic() < until:
            interrupts.pause(0.1)
        experiment = gblend.experiments.get(experiment.id)


def _tell(gblend: Gblend, experiment: Experiment, options: argparse.Namespace) -> int:
    if options.json is not None:
        found = gblend.experiments.comparison(experiment.id, reference=options.reference)
        options.json.write_text(json.dumps(found.raw, indent=2) + "\n")
    if options.report is not None:
        format = report_format(options.report)
        text = gblend.experiments.report(experiment.id, format=format, reference=options.reference)
        options.report.write_text(text, encoding="utf-8")
    print(gblend.experiments.report(experiment.id, format="md", reference=options.reference), end="")
    failed = [job for job in experiment.jobs if job.status != "succeeded"]
    for job in failed:
        error = gblend.jobs.get(job.job_id).error
        why = job.status if error is None else f"{job.status}: {error.message}"
        print(f"compare: {job.strategy} seed {job.seed}: {why}", file=sys.stderr)
    return 1 if failed else 0


@contextmanager
def _service(options: argparse.Namespace, interrupts: Interrupts) -> Iterator[str]:
    if options.url is not None:
        yield options.url
        return
    with own_service(options.data, interrupts, workers=options.workers) as url:
        yield url


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spec", type=Path, help="a job spec or an experiment's, YAML or JSON")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--data", type=_folder, help="start a service whose data:// is this folder")
    where.add_argument("--url", help="use the service at this address")
    parser.add_argument("--workers", type=int, help="trainings at once, with --data; default: one per GPU, or core")
    parser.add_argument("--seeds", type=int, help="seeds 0 to N-1 (default: the spec's, or 3)")
    parser.add_argument(
        "--strategies", nargs="+", default=[], metavar="NAME", help=f"default: all; {UNIMODAL}NAME for one modality"
    )
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="as in training.epochs=5")
    parser.add_argument("--reference", metavar="NAME", help="differences are to this strategy (default: the first)")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the report there: .html, with plots, or .md")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every number there")
    return parser


def _folder(text: str) -> Path:
    path = Path(text).resolve()
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is no folder")
    return path


if __name__ == "__main__":
    sys.exit(main())
