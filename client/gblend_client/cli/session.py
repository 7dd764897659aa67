"""What every command shares: a client, the two output streams, errors that become messages and exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

import typer

from gblend_client.cli import output
from gblend_client.cli.output import Output
from gblend_client.client import Gblend
from gblend_client.errors import GblendError
from gblend_client.experiment_types import Experiment
from gblend_client.types import Job

JobId = Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")]
Json = Annotated[bool, typer.Option("--json", help="JSON on standard output (one object a line for streams).")]
Url = Annotated[str | None, typer.Option("--url", help="The service's address; GBLEND_URL by default.")]


@dataclass(frozen=True, slots=True)
class Session:
    """What a command works with."""

    gblend: Gblend
    out: Output

    def page(self, *path: str) -> str:
        """The address of a page of the dashboard."""
        return "/".join((self.gblend.base_url.rstrip("/"), *path))


@contextmanager
def open_session(url: str | None, as_json: bool) -> Iterator[Session]:
    """A client and the two output streams; what goes wrong inside is printed and becomes the exit code."""
    out = Output(as_json=as_json)
    try:
        with Gblend(url) as gblend:
            yield Session(gblend, out)
    except GblendError as error:
        out.error(error)
        raise typer.Exit(output.exit_code(error)) from None
    except KeyboardInterrupt:
        raise typer.Exit(output.INTERRUPTED) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter's last flush complains
        raise typer.Exit(output.BROKEN_PIPE) from None


def print_job_line(out: Output, job: Job | Experiment) -> None:
    """A job in one line, or as JSON."""
    if out.as_json:
        out.data(job.raw)
    else:
        out.line(f"{job.id} {job.status}" + (f" ({job.name})" if job.name else ""))
