"""`gblend-server`: starts the service and its parts.

    gblend-server up         everything on this machine, with nothing installed: API, worker, SQLite, files
    gblend-server api        the HTTP side alone
    gblend-server worker     one worker with its training slots
    gblend-server migrate    brings the database to the newest revision

Settings come from the environment (`GBLEND_...`); options win over them.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

# Each command imports its own part: they must start fast.

app = typer.Typer(help=__doc__.split("\n", 1)[0], no_args_is_help=True, add_completion=False, rich_markup_mode=None)

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
    insecure_no_auth: Insecure = False,
    parent_pid: ParentPid = None,
) -> None:
    """Start everything on this machine and wait; Ctrl-C stops all of it."""
    from api.process import die_with

    die_with(parent_pid)
    _configure(state_dir=state_dir, data=data, models=models, workers=workers, host=host, port=port)
    from core.settings import Settings

    settings = Settings()
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
    from core.settings import Settings

    settings = Settings()
    logs.configure(settings.log)
    if fd is not None:
        listening = socket.socket(fileno=fd)
    else:
        _refuse_open_door(settings.api.host, insecure_no_auth)
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
    parent_pid: ParentPid = None,
) -> None:
    """Run training jobs."""
    from api.process import die_with, exec_worker

    die_with(parent_pid)
    _configure(state_dir=state_dir, data=data, models=models, workers=workers)
    from core.settings import Settings

    exec_worker(Settings())


@app.command()
def migrate(state_dir: StateDir = None) -> None:
    """Bring the database to the newest revision. Safe to repeat, and from many processes at once."""
    _configure(state_dir=state_dir)
    from core.persistence.migrate import upgrade
    from core.settings import Settings

    upgrade(Settings().database_url)
    print("gblend: the database is at the newest revision")


def _configure(
    *,
    state_dir: Path | None = None,
    data: Path | None = None,
    models: Path | None = None,
    workers: int | None = None,
    host: str | None = None,
    port: int | None = None,
) -> None:
    """Put the options into the environment: `Settings` reads them there, and so do the processes we start."""
    chosen = {
        "GBLEND_STATE_DIR": None if state_dir is None else state_dir.absolute(),
        "GBLEND_ROOTS__DATA": data,
        "GBLEND_ROOTS__MODELS": models,
        "GBLEND_ENGINE__SLOTS": workers,
        "GBLEND_API__HOST": host,
        "GBLEND_API__PORT": port,
    }
    os.environ.update({name: str(value) for name, value in chosen.items() if value is not None})


def _refuse_open_door(host: str, insecure_no_auth: bool) -> None:
    from api.server import is_loopback

    if insecure_no_auth or is_loopback(host):
        return
    _fail(
        f"{host} can be reached from other machines, and this version has no authentication: whoever connects could "
        "submit jobs and read every result. Listen on 127.0.0.1, or put a proxy that authenticates in front and say "
        "--insecure-no-auth."
    )


def _fail(message: str) -> NoReturn:
    print(f"gblend-server: {message}", file=sys.stderr)
    raise typer.Exit(2)


if __name__ == "__main__":
    app()
