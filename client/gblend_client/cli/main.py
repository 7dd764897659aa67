"""The commands. Each opens a session, calls the SDK and prints; errors become messages and exit codes in one place."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gblend_client._version import __version__
from gblend_client.cli import comparing, data, lifecycle, output, starting, tables, tables_of_experiments
from gblend_client.cli.comparing import Wanted
from gblend_client.cli.data import read_spec
from gblend_client.cli.following import follow
from gblend_client.cli.session import JobId, Json, Session, Url, open_session, print_job_line
from gblend_client.errors import InvalidInput
from gblend_client.specfile import with_changes
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

After = Annotated[int, typer.Option("--after", min=0, help="Only events after this seq.")]


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
    with open_session(url, as_json) as session:
        body = with_changes(read_spec(spec), changes or ())
        if name is not None:
            body["name"] = name
        if validate_only:
            raise typer.Exit(_validate(session, body))
        job = session.gblend.jobs.submit(body, idempotency_key=idempotency_key)
        print_job_line(session.out, job)
        session.out.warnings(job.warnings if not as_json else ())
        if watch_it:
            raise typer.Exit(follow(session.gblend, session.out, job.id))
        if not as_json:
            session.out.note(f"watch it: gblend watch {job.id}, or at {session.page('jobs', job.id)}")


@app.command()
def watch(job_id: JobId, after: After = 0, as_json: Json = False, url: Url = None) -> None:
    """Watch a job to its end. Ctrl-C stops the watching, not the job."""
    with open_session(url, as_json) as session:
        raise typer.Exit(follow(session.gblend, session.out, job_id, after=after))


@app.command()
def jobs(
    status: Annotated[str | None, typer.Option("--status", help="Only jobs in this state.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = 20,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """List jobs, newest first."""
    with open_session(url, as_json) as session:
        session.out.rows(list(session.gblend.jobs.list(status=status, limit=limit)), tables.jobs_table, "no jobs")


@app.command()
def compare(
    spec: Annotated[
        str,
        typer.Argument(
            metavar="SPEC", help="A job spec, an experiment's spec (with strategies), - for standard input, or an id."
        ),
    ],
    strategies: Annotated[
        list[str] | None,
        typer.Option("--strategies", metavar="A,B", help="Which to compare; repeatable. All well-known by default."),
    ] = None,
    seeds: Annotated[int | None, typer.Option("--seeds", min=1, max=100, help="Seeds 0 to N-1; 3 by default.")] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY.PATH=VALUE", help="Change the spec; repeatable.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="The experiment's name.")] = None,
    reference: Annotated[
        str | None, typer.Option("--reference", help="Differences are to this strategy; the first by default.")
    ] = None,
    report: Annotated[Path | None, typer.Option("--report", help="Write the report there: .html or .md.")] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Submit it, do not wait for its end.")] = False,
    idempotency_key: Annotated[
        str | None, typer.Option("--idempotency-key", help="Submitting twice with one key creates one experiment.")
    ] = None,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Train several strategies with several seeds, and compare them."""
    names = [part.strip() for each in strategies or () for part in each.split(",") if part.strip()]
    wanted = Wanted(strategies=names, seeds=seeds, changes=changes or (), name=name)
    with open_session(url, as_json) as session:
        if report is not None:
            comparing.report_format(report)  # before anything is trained for it
        if report is not None and no_wait:
            raise InvalidInput("a report needs the end of the experiment", hint="leave out --no-wait")
        experiment_id = _experiment_id(session, spec, wanted, idempotency_key, quiet=as_json and not no_wait)
        if not no_wait:
            raise typer.Exit(
                comparing.follow_experiment(
                    session.gblend, session.out, experiment_id, reference=reference, report=report
                )
            )


@app.command()
def experiments(
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = 20,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """List experiments, newest first."""
    with open_session(url, as_json) as session:
        found = list(session.gblend.experiments.list(limit=limit))
        session.out.rows(found, tables_of_experiments.experiments_table, "no experiments")


@app.command()
def workers(
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = 100,
    everyone: Annotated[bool, typer.Option("--all", help="Also those that have stopped or are lost.")] = False,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """List the workers, newest first: their queues and slots, and what they run."""
    with open_session(url, as_json) as session:
        found = [each for each in session.gblend.workers.list(limit=limit) if everyone or each.state == "alive"]
        nothing = "no workers" if everyone else "no worker is alive (--all shows those that were)"
        session.out.rows(found, tables.workers_table, nothing)


@app.command()
def show(job_id: JobId, as_json: Json = False, url: Url = None) -> None:
    """Show a job: its state, its weights so far, its result."""
    with open_session(url, as_json) as session:
        job = session.gblend.jobs.get(job_id)
        if as_json:
            session.out.data(job.raw)
            return
        session.out.show(tables.facts(_facts(job)))
        history = session.gblend.jobs.super_epochs(job_id)
        if history:
            session.out.show(tables.super_epochs_table(history))
        if job.result is not None and job.result.test:
            session.out.show(tables.result_table(job.result.test, job.result.answer, job.result.metric or "accuracy"))
            if job.result.contributions:
                session.out.show(tables.contributions_table(job.result.contributions, job.result.metric or "accuracy"))
            if job.result.flags:
                session.out.note(f"flags: {', '.join(job.result.flags)} (docs/method.md says what they mean)")
        session.out.warnings(job.warnings)
        if job.error is not None:
            session.out.warnings(job.error.errors)


@app.command()
def weights(job_id: JobId, as_json: Json = False, url: Url = None) -> None:
    """Show a job's weights, G, O and OGR, per super-epoch and head."""
    with open_session(url, as_json) as session:
        session.out.rows(session.gblend.jobs.super_epochs(job_id), tables.super_epochs_table, "no super-epochs yet")


@app.command()
def cancel(
    job_id: Annotated[str, typer.Argument(metavar="JOB", help="The id of a job, or of an experiment: all its jobs.")],
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Ask a job to stop, or every job of an experiment."""
    with open_session(url, as_json) as session:
        if comparing.is_experiment_id(job_id):
            print_job_line(session.out, session.gblend.experiments.cancel(job_id))
            return
        print_job_line(session.out, session.gblend.jobs.cancel(job_id))


starting.register(app)
data.register_commands(app)
lifecycle.register(app)


@app.command()
def download(
    job_id: JobId,
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Artifacts; all by default.")] = None,
    dest: Annotated[Path | None, typer.Option("--dest", help="Folder; by default one named after the job.")] = None,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Download a job's artifacts, verified by sha256; takes up what was broken off."""
    with open_session(url, as_json) as session:
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
    with open_session(url, as_json) as session:
        for event in session.gblend.jobs.events(job_id, after=after, types=types or (), limit=limit):
            session.out.event(event)


@app.command()
def logs(
    job_id: JobId,
    follow_it: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job has ended.")] = False,
    tail: Annotated[int | None, typer.Option("--tail", min=1, help="Begin with the last so many lines.")] = None,
    after: Annotated[int, typer.Option("--after", min=0, help="Only chunks after this seq.")] = 0,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Print what a job's training prints. Ctrl-C stops the printing, not the job."""
    with open_session(url, as_json) as session:
        last = after
        if tail is not None:
            for chunk in session.gblend.jobs.log_tail(job_id, tail):
                if chunk.seq > after:
                    session.out.log(chunk)
                    last = chunk.seq
        if follow_it or tail is None:
            more = session.gblend.jobs.stream_logs if follow_it else session.gblend.jobs.logs
            for chunk in more(job_id, after=last):
                session.out.log(chunk)


def _validate(session: Session, body: dict[str, Any]) -> int:
    report = session.gblend.jobs.submit(body, validate_only=True)
    if session.out.as_json:
        session.out.data(report.raw)
    else:
        session.out.line("the service would accept it" if report.valid else "the service would refuse it")
        session.out.warnings((*report.errors, *report.warnings))
    return output.OK if report.valid else output.REFUSED


def _experiment_id(session: Session, spec: str, wanted: Wanted, key: str | None, *, quiet: bool) -> str:
    """Of the experiment that `spec` names, or of the one that it describes, which is submitted."""
    if comparing.is_experiment_id(spec):
        if wanted.is_anything or key is not None:
            raise InvalidInput(f"{spec} is there already: nothing of it can be changed", hint="give a spec instead")
        return spec
    made = session.gblend.experiments.submit(comparing.experiment_of(read_spec(spec), wanted), idempotency_key=key)
    if not quiet:
        print_job_line(session.out, made)
    if not session.out.as_json:
        session.out.warnings(made.warnings)
        where = session.page("experiments", made.id)
        session.out.note(f"{len(made.jobs)} jobs; compare later: gblend compare {made.id}, or at {where}")
    return made.id


def _facts(job: Job) -> dict[str, object]:
    progress = job.progress
    blending, limit = job.spec.get("blending"), job.max_runtime_seconds
    return {
        "job": job.id,
        "name": job.name,
        "status": job.status + (f" ({job.status_reason})" if job.status_reason else ""),
        "phase": None if job.is_terminal else job.phase,
        "progress": None if progress is None or job.is_terminal else tables.how_far(progress),
        "queue": job.queue_position,
        "class": job.queue if job.queue != "default" else None,
        "priority": job.priority or None,
        "run time": f"{job.run_seconds:.0f} s" + (f" of {limit:g} s" if limit else "") if job.run_seconds else None,
        "retry of": job.retry_of,
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
