"""What others may rely on: a change here is a change of the public interface, and belongs into the change log."""

from __future__ import annotations

import dataclasses
import inspect
import subprocess
import sys
import tomllib
from pathlib import Path

import gblend_client
import pytest
import typer
from gblend_client.aio import AsyncExperiments, AsyncJobs, AsyncWorkers
from gblend_client.cli import app
from gblend_client.client import Experiments, Jobs, Workers
from gblend_client.datasets import AsyncDatasets, Datasets
from typer.core import TyperGroup

CLIENT = Path(__file__).parents[3] / "client"


def test_the_exported_names() -> None:
    assert gblend_client.__all__ == [
        "APIError",
        "Artifact",
        "AsyncGblend",
        "Checkpoint",
        "ClassStatistics",
        "ColumnStatistics",
        "Comparison",
        "Conflict",
        "ConnectionFailed",
        "Contribution",
        "Dataset",
        "DatasetInference",
        "DatasetStatistics",
        "DatasetValidation",
        "Difference",
        "DuplicateStatistics",
        "Event",
        "Experiment",
        "ExperimentJob",
        "ExperimentValidation",
        "Forgotten",
        "Gblend",
        "GblendError",
        "HeadEstimate",
        "IntegrityError",
        "InvalidInput",
        "Job",
        "JobError",
        "JobResult",
        "LogChunk",
        "Measurement",
        "Metric",
        "ModalityStatistics",
        "NotFound",
        "Numbers",
        "Page",
        "PartStatistics",
        "ProblemItem",
        "Progress",
        "ProgressTotals",
        "ProtocolError",
        "RateLimited",
        "Sample",
        "SeedScore",
        "ServerError",
        "Spread",
        "StrategySummary",
        "SuperEpoch",
        "TargetStatistics",
        "Transition",
        "Unauthorized",
        "Validation",
        "ValidationReport",
        "WaitTimeout",
        "Worker",
        "__version__",
    ]


def test_the_methods() -> None:
    assert {name: [*inspect.signature(method).parameters][1:] for name, method in _methods(Jobs).items()} == {
        "submit": ["spec", "idempotency_key", "validate_only"],
        "get": ["job_id"],
        "list": ["status", "limit"],
        "page": ["status", "after", "limit"],
        "cancel": ["job_id"],
        "events": ["job_id", "after", "types", "limit"],
        "logs": ["job_id", "after", "limit"],
        "log_tail": ["job_id", "lines"],
        "stream_logs": ["job_id", "after"],
        "super_epochs": ["job_id"],
        "metrics": ["job_id", "head", "split", "metric", "scope", "max_points"],
        "artifacts": ["job_id"],
        "checkpoints": ["job_id"],
        "pause": ["job_id"],
        "resume": ["job_id"],
        "retry": ["job_id", "scheduling", "idempotency_key"],
        "delete": ["job_id"],
        "download": ["job_id", "dest", "names"],
        "watch": ["job_id", "after"],
        "wait": ["job_id", "timeout"],
    }


def test_the_methods_of_experiments() -> None:
    assert {name: [*inspect.signature(method).parameters][1:] for name, method in _methods(Experiments).items()} == {
        "submit": ["spec", "idempotency_key", "validate_only"],
        "get": ["experiment_id"],
        "list": ["limit"],
        "page": ["after", "limit"],
        "cancel": ["experiment_id"],
        "delete": ["experiment_id"],
        "comparison": ["experiment_id", "reference"],
        "report": ["experiment_id", "format", "reference"],
        "watch": ["experiment_id"],
        "wait": ["experiment_id", "timeout"],
    }


def test_the_methods_of_workers() -> None:
    assert {name: [*inspect.signature(method).parameters][1:] for name, method in _methods(Workers).items()} == {
        "get": ["worker_id"],
        "list": ["limit"],
    }


def test_the_methods_of_data_sets() -> None:
    assert {name: [*inspect.signature(method).parameters][1:] for name, method in _methods(Datasets).items()} == {
        "validate": ["spec"],
        "infer": ["uri", "target"],
        "register": ["spec", "idempotency_key"],
        "get": ["dataset_id"],
        "list": ["limit"],
        "page": ["after", "limit"],
        "delete": ["dataset_id"],
        "samples": ["dataset_id", "part", "label", "limit"],
        "sample_page": ["dataset_id", "part", "label", "after", "limit"],
        "preview": ["dataset_id", "row", "modality"],
        "sound": ["dataset_id", "row", "modality"],
    }


@pytest.mark.parametrize(
    ("sync_class", "async_class"),
    [(Jobs, AsyncJobs), (Experiments, AsyncExperiments), (Datasets, AsyncDatasets), (Workers, AsyncWorkers)],
)
def test_both_clients_have_the_same_methods(sync_class: type, async_class: type) -> None:
    sync, aio = _methods(sync_class), _methods(async_class)
    assert list(sync) == list(aio)
    for name in sync:
        assert inspect.signature(sync[name]).parameters == inspect.signature(aio[name]).parameters, name
    assert [*inspect.signature(gblend_client.Gblend).parameters] == [
        *inspect.signature(gblend_client.AsyncGblend).parameters
    ]


def test_results_are_frozen() -> None:
    for name in gblend_client.__all__:
        exported = getattr(gblend_client, name)
        if dataclasses.is_dataclass(exported):
            assert exported.__dataclass_params__.frozen, name  # type: ignore[attr-defined]


def test_every_error_descends_from_one() -> None:
    errors = [
        exported
        for name in gblend_client.__all__
        if inspect.isclass(exported := getattr(gblend_client, name)) and issubclass(exported, Exception)
    ]
    assert len(errors) == 13
    assert all(issubclass(error, gblend_client.GblendError) for error in errors)


def test_the_version_is_the_distributions() -> None:
    project = tomllib.loads((CLIENT / "pyproject.toml").read_text())["project"]
    assert project["version"] == gblend_client.__version__


def test_it_stands_alone_and_is_typed() -> None:
    """The SDK imports neither the service's code nor the command's library (httpx itself tries to import rich)."""
    code = (
        "import sys, gblend_client; roots = {name.partition('.')[0] for name in sys.modules};"
        "print(sorted(roots & {'api', 'core', 'worker', 'torch', 'typer', 'pydantic'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert (CLIENT / "gblend_client" / "py.typed").exists()


def test_the_readme_names_everything() -> None:
    readme = (CLIENT / "README.md").read_text()
    command = typer.main.get_command(app)
    assert isinstance(command, TyperGroup)
    options = {
        option
        for each in command.commands.values()
        for parameter in each.params
        for option in parameter.opts
        if option.startswith("--")
    }
    exported = [getattr(gblend_client, name) for name in gblend_client.__all__]
    named = {
        *(f"gblend {name}" for name in command.commands),
        *options - {"--help"},
        *(f"`{name}(" for name in (*_methods(Jobs), *_methods(Experiments), *_methods(Datasets))),
        *(f"| {code} |" for code in (0, 1, 2, 3, 4, 130, 141)),
        *(each.__name__ for each in exported if inspect.isclass(each) and issubclass(each, Exception)),
        "GBLEND_URL",
        "GBLEND_API_KEY",
    }
    assert sorted(name for name in named if name not in readme) == []


def _methods(cls: type) -> dict[str, object]:
    return {name: value for name, value in vars(cls).items() if not name.startswith("_")}
