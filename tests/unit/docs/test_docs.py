"""The documents are not behind the code: settings, events, commands and links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic import BaseModel

import api
import core
import worker
from api.cli import app
from core.events import JobEvent
from core.settings import Settings
from core.spec import JobSpec

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()


def settings_rows() -> Iterator[str]:
    """A table row for each setting: variable, default, the first words of its docstring."""
    for area, field in Settings.model_fields.items():
        if isinstance(field.default, BaseModel):
            model = type(field.default)
            for name, inner in model.model_fields.items():
                yield _row(model, name, f"GBLEND_{area}__{name}", inner.default)
        else:
            yield _row(Settings, area, f"GBLEND_{area}", field.default)


def _row(model: type[BaseModel], name: str, variable: str, default: object) -> str:
    said = model.model_json_schema()["properties"][name].get("description", "").replace("\n", " ")
    assert said, f"the setting {variable.upper()} has no docstring"
    default = ",".join(default) if isinstance(default, tuple) else default  # as the environment has it
    return f"| `{variable.upper()}` | {f'`{default}`' if default not in (None, '') else ''} | {said} |"


@pytest.mark.parametrize("row", list(settings_rows()))
def test_every_setting_is_in_the_operations_manual(row: str) -> None:
    assert row in OPERATIONS


def test_every_event_type_is_in_the_operations_manual() -> None:
    types = [event.model_fields["type"].default for event in get_args(get_args(JobEvent)[0])]
    assert len(types) > 5
    by_the_service = ["job.created", "job.status", "estimate.interrupted"]
    assert [kind for kind in [*types, *by_the_service] if f"`{kind}`" not in OPERATIONS] == []


def test_every_server_command_is_in_the_readme_or_the_manual() -> None:
    names = [command.name or command.callback.__name__ for command in app.registered_commands if command.callback]
    assert {"up", "api", "worker", "migrate"} <= set(names)
    assert [name for name in names if f"gblend-server {name}" not in README + OPERATIONS] == []


@pytest.mark.parametrize(
    "page",
    [
        *("README.md", "examples/README.md", "docs/architecture.md", "docs/method.md", "docs/operations.md"),
        *("docs/reliability.md", "docs/sources.md"),
    ],
)
def test_links_to_files_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text()
    targets = [target for target in re.findall(r"\]\(([^)#]+)", text) if "://" not in target]
    assert [target for target in targets if not ((ROOT / page).parent / target).exists()] == []


def test_the_spec_in_the_readme_is_one() -> None:
    (text,) = [block for block in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL) if "modalities" in block]
    spec = JobSpec.model_validate(yaml.safe_load(text))
    assert spec.head_names == ("frame", "imu", "meta", "sound", "fused")


@pytest.mark.parametrize("root", [api, worker, core])
def test_the_packages_are_those_of_this_checkout(root: object) -> None:
    assert Path(str(root.__file__)).is_relative_to(ROOT)  # type: ignore[attr-defined]
