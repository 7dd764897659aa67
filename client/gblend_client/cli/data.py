"""The commands about data sets: validate, register, datasets."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from gblend_client._registering import registration_of
from gblend_client.cli import data_report, output
from gblend_client.cli.session import Json, Session, Url, open_session
from gblend_client.dataset_types import DatasetValidation
from gblend_client.errors import ProblemItem, Validation
from gblend_client.specfile import load, parse, with_changes

Spec = Annotated[
    str,
    typer.Argument(
        metavar="SPEC",
        help="A job's, an experiment's or a data set's spec, - for standard input, or a data set's id.",
    ),
]
Changes = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY.PATH=VALUE", help="Change the spec; repeatable.")
]
_ONLY_DATA = frozenset({"name", "metadata", "dataset", "holdout", "seed", "source"})


def register_commands(app: typer.Typer) -> None:
    """Adds the commands."""
    for command in (validate, register, datasets):
        app.command()(command)


def validate(spec: Spec, changes: Changes = None, as_json: Json = False, url: Url = None) -> None:
    """Look closely at a data set (and the job around it): what it holds, what is wrong with it. Creates nothing."""
    with open_session(url, as_json) as session:
        if is_dataset_id(spec):
            body: dict[str, Any] = with_changes({"dataset": spec}, changes or ())
        else:
            body = with_changes(read_spec(spec), changes or ())
        title = spec if spec != "-" else ""
        found: DatasetValidation | None = None
        problems: list[ProblemItem] = []
        try:
            found = session.gblend.datasets.validate(body)
            problems += (*found.errors, *found.warnings)
        except Validation as error:  # no data set at all: what is wrong with it is a report too
            problems += _items(error)
        known = {(item.code, _below_job(item.pointer)) for item in problems}
        problems += [item for item in _rest(session, body) if (item.code, _below_job(item.pointer)) not in known]
        errors = [item for item in problems if item.severity == "error"]
        warnings = [item for item in problems if item.severity != "error"]
        if session.out.as_json:
            session.out.data(
                {
                    "object": "dataset.validation",
                    "statistics": None,
                    "fingerprint": None,
                    **({} if found is None else found.raw),
                    "valid": not errors,
                    "errors": [output.problem_json(item) for item in errors],
                    "warnings": [output.problem_json(item) for item in warnings],
                }
            )
        else:
            statistics = None if found is None else found.statistics
            session.out.show(data_report.report(title, statistics, errors, warnings))
        raise typer.Exit(output.REFUSED if errors else output.OK)


def register(
    spec: Spec,
    changes: Changes = None,
    name: Annotated[str | None, typer.Option("--name", help="The data set's name.")] = None,
    idempotency_key: Annotated[
        str | None, typer.Option("--idempotency-key", help="Registering twice with one key registers one.")
    ] = None,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Register a data set, so that jobs can name it by its id."""
    with open_session(url, as_json) as session:
        body = registration_of(with_changes(read_spec(spec), changes or ()))
        if name is not None:
            body["name"] = name
        made = session.gblend.datasets.register(body, idempotency_key=idempotency_key)
        if as_json:
            session.out.data(made.raw)
            return
        session.out.line(made.id + (f" ({made.name})" if made.name else ""))
        session.out.warnings(made.warnings)
        session.out.note(f"name it in a job: gblend submit SPEC --set dataset={made.id}")


def datasets(
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = 20,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """List the registered data sets, newest first."""
    with open_session(url, as_json) as session:
        session.out.rows(list(session.gblend.datasets.list(limit=limit)), data_report.datasets_table, "no data sets")


def is_dataset_id(text: str) -> bool:
    """Whether an argument names a registered data set rather than a file."""
    return text.startswith("ds_") and text.isascii() and text.replace("_", "").isalnum()


def read_spec(spec: str) -> dict[str, Any]:
    """A spec from a file, or from standard input where it is `-`."""
    return parse(sys.stdin.read(), name="standard input") if spec == "-" else load(spec)


def _rest(session: Session, body: Mapping[str, Any]) -> tuple[ProblemItem, ...]:
    """What the job or experiment around the data is told; nothing where there is none."""
    gblend = session.gblend
    try:
        if "strategies" in body:
            experiment = gblend.experiments.submit(body, validate_only=True)
            return (*experiment.errors, *experiment.warnings)
        if "dataset" in body and set(body) - _ONLY_DATA:
            job = gblend.jobs.submit(body, validate_only=True)
            return (*job.errors, *job.warnings)
    except Validation as error:
        return _items(error)
    return ()


def _items(error: Validation) -> tuple[ProblemItem, ...]:
    return error.errors or (ProblemItem(code=error.code or "spec.invalid", detail=error.detail, hint=error.hint),)


def _below_job(pointer: str | None) -> str | None:
    return pointer.replace("#/job/", "#/", 1) if pointer is not None else None
