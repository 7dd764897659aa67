"""Strategies x seeds of one job spec, over HTTP, as a Markdown table with mean and spread.

    python examples/compare.py examples/avdigits.yaml --data ../shared/data --seeds 5

Starts a service of its own whose `data://` is `--data`, or uses the running one at `--url`. The spec's own strategy
and seed are replaced; everything else in it holds for every run. Exit status 0 only if every job succeeded.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from gblend_client import Gblend, GblendError
from gblend_client.specfile import load, with_changes

from examples._interrupts import Interrupted, Interrupts
from examples._runs import UNIMODAL, Run, all_strategies, explain, follow_all, plan, submit_all
from examples._service import ServiceError, own_service
from examples._show import HEADS, console, progress


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison; the exit status."""
    options = _parser().parse_args(arguments)
    interrupts = Interrupts()
    out = console()
    try:
        spec = with_changes(load(options.spec), options.set)
        runs = plan(spec, options.strategies or all_strategies(spec), range(options.seeds))
        with _service(options, interrupts) as url:
            gblend = Gblend(url)
            submit_all(gblend, runs, interrupts)
            with progress(out, runs) as on_event:
                follow_all(gblend, runs, interrupts, on_event=on_event)
            gblend.close()
    except Interrupted:
        print("compare: interrupted", file=sys.stderr)
        return interrupts.exit_status
    except (ServiceError, GblendError) as error:
        print(f"compare: {explain(error) if isinstance(error, GblendError) else error}", file=sys.stderr)
        return 2
    if options.json is not None:
        options.json.write_text(json.dumps(as_json(spec, runs), indent=2) + "\n")
    print(markdown(runs))
    failed = [run for run in runs if not run.succeeded]
    for run in failed:
        print(f"compare: {run.strategy} seed {run.seed}: {run.problem}", file=sys.stderr)
    return 1 if failed else 0


def markdown(runs: Sequence[Run]) -> str:
    """A row per strategy: test accuracy in percent, mean +- standard deviation over the seeds that succeeded."""
    lines = [
        f"| strategy | answer | {' | '.join(HEADS.values())} | seeds |",
        f"|---|{'---|' * (len(HEADS) + 2)}",
    ]
    for strategy in dict.fromkeys(run.strategy for run in runs):
        done = [run for run in runs if run.strategy == strategy and run.succeeded]
        answer = _spread([run.accuracy for run in done])
        heads = [
            "" if strategy.startswith(UNIMODAL) else _spread([run.head_accuracy.get(head) for run in done])
            for head in HEADS
        ]
        lines.append(f"| {strategy} | {' | '.join([answer, *heads])} | {len(done)} |")
    return "\n".join(lines)


def as_json(spec: Mapping[str, Any], runs: Sequence[Run]) -> dict[str, Any]:
    """Every run's numbers, so that any other table can be made of them."""
    rows = [
        {
            "strategy": run.strategy,
            "seed": run.seed,
            "status": run.state.status,
            "problem": run.problem,
            "answer": run.job.result.answer if run.job is not None and run.job.result is not None else None,
            "test_accuracy": run.accuracy,
            "heads": run.head_accuracy,
            "weights": [dict(row.weights) for row in run.super_epochs],
            "seconds": run.seconds,
        }
        for run in runs
    ]
    return {"spec": dict(spec), "runs": rows}


def _spread(values: Sequence[float | None]) -> str:
    known = [100 * value for value in values if value is not None]
    if not known:
        return ""
    return f"{mean(known):.1f}" if len(known) == 1 else f"{mean(known):.1f} ± {stdev(known):.1f}"


@contextmanager
def _service(options: argparse.Namespace, interrupts: Interrupts) -> Iterator[str]:
    if options.url is not None:
        yield options.url
        return
    with own_service(options.data, interrupts, workers=options.workers) as url:
        yield url


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spec", type=Path, help="a job spec, YAML or JSON")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--data", type=_folder, help="start a service whose data:// is this folder")
    where.add_argument("--url", help="use the service at this address")
    parser.add_argument("--workers", type=int, help="trainings at once, with --data; default: one per GPU, or core")
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0 to N-1 (default: 3)")
    parser.add_argument(
        "--strategies", nargs="+", metavar="NAME", help=f"default: all; {UNIMODAL}NAME for one modality"
    )
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="as in training.epochs=5")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run's numbers there")
    return parser


def _folder(text: str) -> Path:
    path = Path(text).resolve()
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is no folder")
    return path


if __name__ == "__main__":
    sys.exit(main())
