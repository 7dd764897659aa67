"""The commands that change what a job does: pause, resume, retry, delete. (`cancel` is `main`'s.)"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gblend_client.cli import comparing, data
from gblend_client.cli.session import JobId, Json, Url, open_session, print_job_line
from gblend_client.errors import InvalidInput
from gblend_client.specfile import with_changes


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    for command in (pause, resume, retry, delete):
        app.command()(command)


def pause(job_id: JobId, as_json: Json = False, url: Url = None) -> None:
    """Stop a job for now: it writes a checkpoint and gives its worker back."""
    with open_session(url, as_json) as session:
        print_job_line(session.out, session.gblend.jobs.pause(job_id))


def resume(job_id: JobId, as_json: Json = False, url: Url = None) -> None:
    """Let a paused job go on from its last checkpoint."""
    with open_session(url, as_json) as session:
        print_job_line(session.out, session.gblend.jobs.resume(job_id))


def retry(
    job_id: JobId,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="scheduling.FIELD=VALUE", help="Change when and where it runs; repeatable."),
    ] = None,
    idempotency_key: Annotated[
        str | None, typer.Option("--idempotency-key", help="Retrying twice with one key creates one job.")
    ] = None,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """A new job that goes on from the last checkpoint of one that failed or was cancelled."""
    with open_session(url, as_json) as session:
        body: dict[str, Any] = with_changes({}, changes or ())
        if set(body) - {"scheduling"} or not isinstance(body.get("scheduling", {}), dict):
            raise InvalidInput(
                "a retry has the spec of the job before it: only scheduling.FIELD can be set",
                hint="submit a new job to train something else",
            )
        made = session.gblend.jobs.retry(job_id, scheduling=body.get("scheduling"), idempotency_key=idempotency_key)
        print_job_line(session.out, made)
        if not as_json:
            session.out.note(f"watch it: gblend watch {made.id}, or at {session.page('jobs', made.id)}")


def delete(
    job_id: Annotated[
        str, typer.Argument(metavar="JOB", help="The id of a job, of an experiment with its jobs, or of a data set.")
    ],
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Delete a job that has ended, or a whole experiment, with everything left behind; or forget a data set."""
    with open_session(url, as_json) as session:
        if comparing.is_experiment_id(job_id):
            session.gblend.experiments.delete(job_id)
        elif data.is_dataset_id(job_id):
            session.gblend.datasets.delete(job_id)
        else:
            session.gblend.jobs.delete(job_id)
        if as_json:
            session.out.data({"id": job_id, "deleted": True})
        else:
            session.out.line(f"{job_id} deleted")
