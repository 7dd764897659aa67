"""The demo: every strategy on spoken and handwritten digits, over HTTP, in a minute or two.

    make demo        # or: python -m examples.demo

It starts a service of its own on a free loopback port, submits one job per strategy, shows their weights and losses as
they train, prints a table of test accuracies and stops the service. The last line sums up:

    demo: ok jobs=6 super_epochs=<n> naive=<acc> gblend=<acc>

`super_epochs` counts the super-epochs whose weights were estimated and stored (offline has one, online four); `naive`
and `gblend` are the test accuracies of what the naive and the online G-Blend model answer with. Exit status 0 only if
every job succeeded.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from gblend_client import Gblend, GblendError
from gblend_client.specfile import load
from rich.console import Console

from examples._interrupts import Interrupted, Interrupts
from examples._runs import ESTIMATED, UNIMODAL, Run, all_strategies, explain, follow_all, plan, submit_all
from examples._service import ROOT, ServiceError, own_service
from examples._show import console, progress, result_table


def main() -> int:
    """Run the demo; the exit status."""
    interrupts = Interrupts()
    out = console()
    spec = load(ROOT / "examples" / "digits.yaml")
    runs = plan(spec, all_strategies(spec), [int(spec.get("seed", 0))])
    try:
        compare(out, runs, interrupts)
    except Interrupted:
        out.print("stopped")
    except (ServiceError, GblendError) as error:
        out.print(explain(error) if isinstance(error, GblendError) else str(error), markup=False)
    ok = all(run.succeeded for run in runs) and not interrupts.exit_status
    print(summary(runs, ok=ok), flush=True)
    return interrupts.exit_status or (0 if ok else 1)


def compare(out: Console, runs: Sequence[Run], interrupts: Interrupts) -> None:
    """Start the service, run everything, print what came of it, stop the service."""
    began = time.monotonic()
    out.print("starting a gblend service on a free loopback port ...")
    with own_service(ROOT / "examples", interrupts) as url:
        gblend = Gblend(url)
        out.print(f"ready at {url} after {time.monotonic() - began:.1f} s; submitting {len(runs)} jobs")
        submit_all(gblend, runs, interrupts)
        with progress(out, runs) as on_event:
            follow_all(gblend, runs, interrupts, on_event=on_event)
        gblend.close()
        _print_results(out, runs)
        out.print(f"stopping the service after {time.monotonic() - began:.0f} s")


def _print_results(out: Console, runs: Sequence[Run]) -> None:
    out.print(result_table(runs))
    alone = [(run.accuracy, run.strategy) for run in runs if run.strategy.startswith(UNIMODAL) and run.accuracy]
    if alone:
        accuracy, strategy = max(alone)
        out.print(f"best uni-modal: {strategy.removeprefix(UNIMODAL)} with {accuracy:.3f}")
    for run in runs:
        for row in run.super_epochs if run.strategy in ESTIMATED else ():
            weights = ", ".join(f"{head} {weight:.2f}" for head, weight in row.weights.items())
            out.print(f"{run.strategy}, weights of super-epoch {row.super_epoch + 1}: {weights}")


def summary(runs: Sequence[Run], *, ok: bool) -> str:
    """The last line; an accuracy that was not measured is `nan`."""
    accuracy = {run.strategy: run.accuracy for run in runs}
    naive, gblend = (accuracy.get(strategy) for strategy in ("naive", "online"))
    super_epochs = sum(len(run.super_epochs) for run in runs if run.strategy in ESTIMATED)
    return (
        f"demo: {'ok' if ok else 'failed'} jobs={sum(run.succeeded for run in runs)} super_epochs={super_epochs} "
        f"naive={_number(naive)} gblend={_number(gblend)}"
    )


def _number(value: float | None) -> str:
    return "nan" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    sys.exit(main())
