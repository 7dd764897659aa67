"""`gblend watch`: a live table on a terminal, plain lines elsewhere, JSON lines where asked."""

from __future__ import annotations

import threading

from rich.live import Live

from gblend_client.cli import output, tables
from gblend_client.cli.output import Output
from gblend_client.cli.state import WatchState
from gblend_client.client import Gblend
from gblend_client.errors import GblendError
from gblend_client.types import Job

_POLL_SECONDS = 1.0
_POLL_TIMEOUT = 5.0


def follow(gblend: Gblend, out: Output, job_id: str, *, after: int = 0) -> int:
    """Follows a job to its end; the exit code. Ctrl-C stops the watching, never the job."""
    state = WatchState(job_id=job_id, seq=after)
    try:
        if out.is_live:
            _live(gblend, out, state)
        else:
            for event in gblend.jobs.watch(job_id, after):
                state.apply(event)
                out.event(event)
        job = gblend.jobs.get(job_id)
    except KeyboardInterrupt:
        out.note(f"stopped watching; the job goes on. Watch further: gblend watch {job_id} --after {state.seq}")
        out.note(f"Stop it: gblend cancel {job_id}")
        return output.INTERRUPTED
    _print_end(out, job, state)
    return output.OK if job.status == "succeeded" else output.JOB_FAILED


def _live(gblend: Gblend, out: Output, state: WatchState) -> None:
    """Redraws while events come; how far the job is comes from the job itself, which no event tells."""
    over = threading.Event()

    def poll() -> None:
        # A client of its own: it may still be waiting for an answer when the other one is closed.
        with Gblend(gblend.base_url, retries=0, timeout=_POLL_TIMEOUT) as own:
            while not over.wait(_POLL_SECONDS):
                try:
                    state.update(own.jobs.get(state.job_id))
                except GblendError:
                    state.is_reachable = False

    poller = threading.Thread(target=poll, daemon=True)
    with Live(console=out.out, get_renderable=lambda: tables.live(state), refresh_per_second=4, transient=False):
        poller.start()
        try:
            for event in gblend.jobs.watch(state.job_id, state.seq):
                state.apply(event)
                if event.level != "info":
                    out.line(f"{event.level}: {event.message}")
        finally:
            over.set()
            poller.join(timeout=_POLL_SECONDS)


def _print_end(out: Output, job: Job, state: WatchState) -> None:
    if out.as_json:
        out.data(job.raw)
        return
    state.update(job)
    if not out.is_live and state.heads:
        out.show(tables.heads_table(state.heads.values(), state.metric))
    if state.test:
        out.show(tables.result_table(state.test, state.answer, state.metric))
    if state.answer_reason:
        out.line(f"answer: {state.answer} ({state.answer_reason})")
    out.line(f"{job.id} {job.status}" + (f" ({job.status_reason})" if job.status_reason else ""))
    if job.error is not None:
        out.note(f"{job.error.code}: {job.error.message}")
        out.warnings(job.error.errors)
        if job.error.hint:
            out.note(f"  hint: {job.error.hint}")
