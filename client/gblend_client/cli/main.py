"""The commands. Each opens a session, calls the SDK and prints; errors become messages and exit codes in one place."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from gblend_client._version import __version__
from gblend_client.cli import output, tables
from gblend_client.cli.following import follow
from gblend_client.cli.output import Output
from gblend_client.client import Gblend
from gblend_client.errors import GblendError
from gblend_client.specfile import load, parse, with_changes
from gblend_client.types import Job

_EPILOG = (
    "Exit codes: 0 done; 1 the job failed or was cancelled; 2 wrong usage or input; 3 the service refused the request; "
    "4 the service cannot be reached or gives no usable answer; 130 interrupted (a watched job goes on). "
    "GBLEND_URL and GBLEND_API_KEY name the service and the key."
)

app = typer.Typer(
    help="Submit, watch and manage Gradient-Blending jobs.",
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

JobId = Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")]
Json = Annotated[bool, typer.Option("--json", help="JSON on standard output (one object a line for streams).")]
Url = Annotated[str | None, typer.Option("--url", help="The service's address; GBLEND_URL by default.")]
After = Annotated[int, typer.Option("--after", min=0, help="Only events after this seq.")]


@dataclass(frozen=True, slots=True)
class _Session:
    gblend: Gblend
    out: Output


@contextmanager
def _session(url: str | None, as_json: bool) -> Iterator[_Session]:
    """A client and the two output streams; what goes wrong inside is printed and becomes the exit code."""
    out = Output(as_json=as_json)
    try:
        with Gblend(url) as gblend:
            yield _Session(gblend, out)
    except GblendError as error:
        out.error(error)
        raise typer.Exit(output.exit_code(error)) from None
    except KeyboardInterrupt:
        raise typer.Exit(output.INTERRUPTED) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter's last flush complains
        raise typer.Exit(output.BROKEN_PIPE) from None


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"gblend-client {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Submit, watch and manage Gradient-Blending jobs."""


@app.command()
def submit(
    spec: Annotated[str, typer.Argument(metavar="SPEC", help="A YAML or JSON file, or - for standard input.")],
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY.PATH=VALUE", help="Change the spec; repeatable.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="The job's name.")] = None,
    validate_only: Annotated[bool, typer.Option("--validate-only", help="Check it, create nothing.")] = False,
    watch_it: Annotated[bool, typer.Option("--watch", help="Watch the job to its end.")] = False,
    idempotency_key: Annotated[
        str | None, typer.Option("--idempotency-key", help="Submitting twice with one key creates one job.")
    ] = None,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Submit a job spec."""
    with _session(url, as_json) as session:
        body = parse(sys.stdin.read(), name="standard input") if spec == "-" else load(spec)
        body = with_changes(body, changes or ())
        if name is not None:
            body["name"] = name
        if validate_only:
            raise typer.Exit(_validate(session, body))
        job = session.gblend.jobs.submit(body, idempotency_key=idempotency_key)
        _print_job_line(session.out, job)
        session.out.warnings(job.warnings if not as_json else ())
        if watch_it:
            raise typer.Exit(follow(session.gblend, session.out, job.id))
        if not as_json:
            session.out.note(f"watch it: gblend watch {job.id}")


@app.command()
def watch(job_id: JobId, after: After = 0, as_json: Json = False, url: Url = None) -> None:
    """Watch a job to its end. Ctrl-C stops the watching, not the job."""
    with _session(url, as_json) as session:
        raise typer.Exit(follow(session.gblend, session.out, job_id, after=after))


@app.command()
def jobs(
    status: Annotated[str | None, typer.Option("--status", help="Only jobs in this state.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = 20,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """List jobs, newest first."""
    with _session(url, as_json) as session:
        found = list(session.gblend.jobs.list(status=status, limit=limit))
        if as_json:
            session.out.data({"object": "list", "data": [job.raw for job in found]})
        elif found:
            session.out.show(tables.jobs_table(found))
        else:
            session.out.note("no jobs")


@app.command()
def show(job_id: JobId, as_json: Json = False, url: Url = None) -> None:
    """Show a job: its state, its weights so far, its result."""
    with _session(url, as_json) as session:
        job = session.gblend.jobs.get(job_id)
        if as_json:
            session.out.data(job.raw)
            return
        session.out.show(tables.facts(_facts(job)))
        history = session.gblend.jobs.super_epochs(job_id)
        if history:
            session.out.show(tables.super_epochs_table(history))
        if job.result is not None and job.result.test:
            session.out.show(tables.result_table(job.result.test, job.result.answer))
        session.out.warnings(job.warnings)
        if job.error is not None:
            session.out.warnings(job.error.errors)


@app.command()
def weights(job_id: JobId, as_json: Json = False, url: Url = None) -> None:
    """Show a job's weights, G, O and OGR, per super-epoch and head."""
    with _session(url, as_json) as session:
        history = session.gblend.jobs.super_epochs(job_id)
        if as_json:
            session.out.data({"object": "list", "data": [row.raw for row in history]})
        elif history:
            session.out.show(tables.super_epochs_table(history))
        else:
            session.out.note("no super-epochs yet")


@app.command()
def cancel(job_id: JobId, as_json: Json = False, url: Url = None) -> None:
    """Ask a job to stop."""
    with _session(url, as_json) as session:
        _print_job_line(session.out, session.gblend.jobs.cancel(job_id))


@app.command()
def download(
    job_id: JobId,
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Artifacts; all by default.")] = None,
    dest: Annotated[Path | None, typer.Option("--dest", help="Folder; by default one named after the job.")] = None,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Download a job's artifacts, verified by sha256; takes up what was broken off."""
    with _session(url, as_json) as session:
        paths = session.gblend.jobs.download(job_id, dest or Path(job_id), names or None)
        if as_json:
            session.out.data({"object": "list", "data": [{"path": str(path)} for path in paths]})
        for path in () if as_json else paths:
            session.out.line(str(path))
        if not paths:
            session.out.note("the job has left nothing behind yet")


@app.command()
def events(
    job_id: JobId,
    after: After = 0,
    types: Annotated[list[str] | None, typer.Option("--type", help="Only events of this type; repeatable.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="At most so many.")] = None,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Print a job's recorded events, then end (`watch` goes on)."""
    with _session(url, as_json) as session:
        for event in session.gblend.jobs.events(job_id, after=after, types=types or (), limit=limit):
            session.out.event(event)


def _validate(session: _Session, body: dict[str, Any]) -> int:
    report = session.gblend.jobs.submit(body, validate_only=True)
    if session.out.as_json:
        session.out.data(report.raw)
    else:
        session.out.line("the service would accept it" if report.valid else "the service would refuse it")
        session.out.warnings((*report.errors, *report.warnings))
    return output.OK if report.valid else output.REFUSED


def _print_job_line(out: Output, job: Job) -> None:
    if out.as_json:
        out.data(job.raw)
    else:
        out.line(f"{job.id} {job.status}" + (f" ({job.name})" if job.name else ""))


def _facts(job: Job) -> dict[str, object]:
    progress = job.progress
    blending = job.spec.get("blending")
    return {
        "job": job.id,
        "name": job.name,
        "status": job.status + (f" ({job.status_reason})" if job.status_reason else ""),
        "phase": None if job.is_terminal else job.phase,
        "progress": None if progress is None or job.is_terminal else f"{progress.percent or 0:.0f} %",
        "queue": job.queue_position,
        "attempt": job.attempt or None,
        "strategy": blending.get("strategy") if isinstance(blending, dict) else None,
        "seed": job.seed,
        "created": tables.moment(job.created_at),
        "started": tables.moment(job.started_at),
        "finished": tables.moment(job.finished_at),
        "answer": None if job.result is None else job.result.answer,
        "error": None if job.error is None else f"{job.error.code}: {job.error.message}",
        "hint": None if job.error is None else job.error.hint,
        "data": job.dataset_fingerprint,
        "spec": job.spec_fingerprint,
        **{f"metadata.{key}": value for key, value in job.metadata.items()},
    }
