"""`gblend-server`: starts the service and its parts.

    gblend-server up         everything on this machine, with nothing installed: API, worker, SQLite, files
    gblend-server api        the HTTP side alone
    gblend-server worker     one worker with its training slots
    gblend-server migrate    brings the database to the newest revision
    gblend-server doctor     checks everything that the others need, and says what to do

Settings come from the environment (`GBLEND_...`); options win over them.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from core.settings import Settings

# Each command imports its own part: they must start fast.

app = typer.Typer(
    help=__doc__.split("\n", 1)[0],
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

StateDir = Annotated[
    Path | None,
    typer.Option("--state-dir", help="Where database, broker, runs and artifacts live.", show_default="var"),
]
Data = Annotated[
    Path | None, typer.Option("--data", help="What data:// means.", exists=True, file_okay=False, resolve_path=True)
]
Models = Annotated[
    Path | None, typer.Option("--models", help="What models:// means.", exists=True, file_okay=False, resolve_path=True)
]
Host = Annotated[str | None, typer.Option("--host", help="Address to listen on.", show_default="127.0.0.1")]
Port = Annotated[int | None, typer.Option("--port", min=0, max=65535, help="0: any free port.", show_default="8000")]
Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, max=256, help="Trainings at once.", show_default="one per GPU, or core"),
]
Queues = Annotated[
    list[str] | None,
    typer.Option(
        "--queue",
        metavar="NAME",
        help="Take jobs of this class (scheduling.queue); repeatable.",
        show_default="default",
    ),
]
Insecure = Annotated[
    bool, typer.Option("--insecure-no-auth", help="Listen beyond this machine although there is no authentication.")
]
ParentPid = Annotated[int | None, typer.Option("--parent-pid", hidden=True, help="End when this process does.")]


@app.command()
def up(
    host: Host = None,
    port: Port = None,
    state_dir: StateDir = None,
    data: Data = None,
    models: Models = None,
    workers: Workers = None,
    queue: Queues = None,
    insecure_no_auth: Insecure = False,
    parent_pid: ParentPid = None,
) -> None:
    """Start everything on this machine and wait; Ctrl-C stops all of it."""
    from api.process import die_with

    die_with(parent_pid)
    _configure(state_dir=state_dir, data=data, models=models, workers=workers, queues=queue, host=host, port=port)
    settings = _settings()
    _refuse_open_door(settings.api.host, insecure_no_auth)
    from api.embedded import run

    raise typer.Exit(run(settings))


@app.command()
def api(
    host: Host = None,
    port: Port = None,
    state_dir: StateDir = None,
    data: Data = None,
    models: Models = None,
    insecure_no_auth: Insecure = False,
    fd: Annotated[int | None, typer.Option("--fd", hidden=True, help="A listening socket to take over.")] = None,
    parent_pid: ParentPid = None,
) -> None:
    """Answer HTTP requests."""
    from api.process import die_with

    die_with(parent_pid)
    _configure(state_dir=state_dir, data=data, models=models, host=host, port=port)
    import socket

    from api import logs, server

    settings = _settings()
    logs.configure(settings.log)
    if fd is None:
        _refuse_open_door(settings.api.host, insecure_no_auth)
    _refuse_newer_schema(settings.database_url)
    if fd is not None:
        listening = socket.socket(fileno=fd)
    else:
        try:
            listening = server.listen(
                settings.api.host, settings.api.port, drop_after_seconds=settings.api.sse_send_timeout_seconds
            )
        except OSError as error:
            _fail(f"cannot listen on {settings.api.host}:{settings.api.port}: {error.strerror or error}")
        print(f"gblend: api at {server.address_of(listening)}", flush=True)
    server.serve(settings, listening)


@app.command()
def worker(
    state_dir: StateDir = None,
    data: Data = None,
    models: Models = None,
    workers: Workers = None,
    queue: Queues = None,
    parent_pid: ParentPid = None,
) -> None:
    """Run training jobs."""
    from api.process import die_with, exec_worker

    die_with(parent_pid)
    _configure(state_dir=state_dir, data=data, models=models, workers=workers, queues=queue)
    exec_worker(_settings())


@app.command()
def migrate(state_dir: StateDir = None) -> None:
    """Bring the database to the newest revision. Safe to repeat, and from many processes at once."""
    _configure(state_dir=state_dir)
    settings = _settings()
    from sqlalchemy.exc import OperationalError

    from core.persistence.migrate import upgrade
    from core.persistence.schema import SchemaError

    try:
        upgrade(settings.database_url)
    except SchemaError as error:
        _fail(f"{error.detail}: {error.hint}", status=os.EX_CONFIG)
    except OperationalError as error:
        from api.doctor.finding import told

        _fail(f"the database cannot be brought to the newest revision: {told(error)}", status=os.EX_UNAVAILABLE)
    except OSError as error:  # the folder of an SQLite file
        _fail(f"the state folder cannot be made: {error}")
    print("gblend: the database is at the newest revision")


@app.command()
def doctor(
    state_dir: StateDir = None,
    data: Data = None,
    models: Models = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Check settings, database, broker, artifacts, folders, GPUs and workers, and say what to do. Changes nothing."""
    _configure(state_dir=state_dir, data=data, models=models)
    from api.doctor import as_text, diagnose, report

    findings = diagnose(os.environ)
    if as_json:
        import json

        print(json.dumps(report(findings), ensure_ascii=False))
    else:
        print(as_text(findings))
    raise typer.Exit(1 if any(finding.status == "problem" for finding in findings) else 0)


def _configure(
    *,
    state_dir: Path | None = None,
    data: Path | None = None,
    models: Path | None = None,
    workers: int | None = None,
    queues: list[str] | None = None,
    host: str | None = None,
    port: int | None = None,
) -> None:
    """Put the options into the environment: `Settings` reads them there, and so do the processes we start."""
    chosen = {
        "GBLEND_STATE_DIR": None if state_dir is None else state_dir.absolute(),
        "GBLEND_ROOTS__DATA": data,
        "GBLEND_ROOTS__MODELS": models,
        "GBLEND_ENGINE__SLOTS": workers,
        "GBLEND_WORKER__QUEUES": ",".join(queues) if queues else None,
        "GBLEND_API__HOST": host,
        "GBLEND_API__PORT": port,
    }
    os.environ.update({name: str(value) for name, value in chosen.items() if value is not None})


def _settings() -> Settings:
    """From the environment. What cannot be read there is said in a sentence, without its value."""
    from pydantic import ValidationError

    from core.settings import Settings, what_is_wrong

    try:
        return Settings()
    except ValidationError as error:
        _fail(f"{what_is_wrong(error)} (docs/operations.md lists all settings)", status=os.EX_CONFIG)


def _refuse_open_door(host: str, insecure_no_auth: bool) -> None:
    from api.server import is_loopback

    if insecure_no_auth or is_loopback(host):
        return
    _fail(
        f"{host} can be reached from other machines, and this version has no authentication: whoever connects could "
        "submit jobs and read every result. Listen on 127.0.0.1, or put a proxy that authenticates in front and say "
        "--insecure-no-auth."
    )


def _refuse_newer_schema(database_url: str) -> None:
    """An older schema, or a database that is away, is no reason not to start: `/readyz` says so until it is mended."""
    from sqlalchemy.exc import DBAPIError

    from core.persistence import Database
    from core.persistence.schema import Schema, SchemaError, state_of

    database = Database(database_url, pool_size=1)
    try:
        with database.read() as session:
            state = state_of(session)
    except DBAPIError:
        return
    finally:
        database.close()
    if state is Schema.AHEAD:
        error = SchemaError(state)
        _fail(f"{error.detail}: {error.hint}", status=os.EX_CONFIG)


def _fail(message: str, *, status: int = 2) -> NoReturn:
    print(f"gblend-server: {message}", file=sys.stderr)
    raise typer.Exit(status)


if __name__ == "__main__":
    app()
