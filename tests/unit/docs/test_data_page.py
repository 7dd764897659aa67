"""docs/data.md is true: options and defaults of every type, and every code that the data can bring about."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from core.data.problems import HINTS
from core.spec.data import Modality, PretrainedEncoder, TargetType

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "data.md").read_text()
SOURCES_PAGE = (ROOT / "docs" / "sources.md").read_text()
MODALITIES: dict[str, type[BaseModel]] = {
    get_args(each.model_fields["type"].annotation)[0]: each for each in get_args(get_args(Modality)[0])
}
SECTIONS = dict(section.split("\n", 1) for section in re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:])
CODE = re.compile(
    r"(?:audio|column|data|encoder|file|group|holdout|leak|loss|missing|modality|row|source|split|target|value)\.[a-z_]+"
)
FILE_CODES = {"file.missing", "file.too_large", "file.truncated", "file.too_slow"}  # of whatever is a file
MODULES = {
    "image": (["image", "pixels"], FILE_CODES),
    "audio": (["audio"], FILE_CODES),
    "video": (["video", "pixels", "clips", "containers"], FILE_CODES),
    "text": (["text"], set()),
    "tabular": (["tabular"], set()),
    "timeseries": (["arrays"], set()),
    "embedding": (["arrays"], set()),
}


def codes_of(path: Path) -> Iterator[str]:
    """Every code among the strings of a module."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value):
            yield node.value


def _modules() -> list[Path]:
    """Those that say what is wrong with data."""
    models = [ROOT / "core" / "models" / f"{name}.py" for name in ("pretrained", "finetuned", "inputs")]
    return [*(ROOT / "core" / "data").rglob("*.py"), *models]


def rows(text: str, heading: str) -> list[list[str]]:
    """The rows of the table whose header begins with `heading`."""
    found = text.split(f"| {heading} |", 1)
    assert len(found) == 2, f"no table {heading!r}"
    lines = found[1].split("\n")[2:]
    table = lines[: next(place for place, line in enumerate([*lines, ""]) if not line.startswith("|"))]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def named(cell: str) -> str:
    return cell.strip("`")


def test_every_type_has_a_section() -> None:
    assert list(SECTIONS)[: len(MODALITIES)] == list(MODULES)
    assert set(MODULES) == set(MODALITIES)


@pytest.mark.parametrize("kind", list(MODULES))
def test_options_and_defaults(kind: str) -> None:
    preprocess = MODALITIES[kind].model_fields.get("preprocess")
    if preprocess is None:
        assert "There is no `preprocess`" in SECTIONS[kind]
        return
    model = preprocess.annotation
    assert isinstance(model, type)
    assert issubclass(model, BaseModel)
    wanted = [(name, field.default) for name, field in model.model_fields.items()]
    told: list[tuple[str, Any]] = [
        (named(name), json.loads(named(default))) for name, default, _ in rows(SECTIONS[kind], "option")
    ]
    assert told == wanted


@pytest.mark.parametrize("kind", list(MODULES))
def test_variations_and_defaults(kind: str) -> None:
    augment = MODALITIES[kind].model_fields.get("augment")
    if augment is None:
        assert "| `augment` |" not in SECTIONS[kind]
        return
    model = augment.annotation
    assert isinstance(model, type)
    assert issubclass(model, BaseModel)
    wanted = [(name, field.default) for name, field in model.model_fields.items()]
    told: list[tuple[str, Any]] = [
        (named(name), json.loads(named(default))) for name, default, _ in rows(SECTIONS[kind], "`augment`")
    ]
    assert told == wanted


@pytest.mark.parametrize("kind", list(MODULES))
def test_errors_of_a_type(kind: str) -> None:
    modules, more = MODULES[kind]
    folder = ROOT / "core" / "data" / "modalities"
    wanted = {code for name in modules for code in codes_of(folder / f"{name}.py")} | more
    assert {named(code) for code, _ in rows(SECTIONS[kind], "error")} == wanted


def test_every_code_is_on_one_of_the_two_pages() -> None:
    codes = {code for path in _modules() for code in codes_of(path)} | set(HINTS)
    codes -= {f"metadata.{kind}" for kind in ("csv", "tsv", "jsonl", "parquet")}
    assert sorted(code for code in codes if f"`{code}`" not in PAGE + SOURCES_PAGE) == []


def test_no_code_is_told_that_there_is_not() -> None:
    told = {
        match.group(1)
        for page in (PAGE, SOURCES_PAGE)
        for match in re.finditer(r"^\| `([a-z]+\.[a-z_]+)` \|", page, re.M)
    }
    codes = {code for path in _modules() for code in codes_of(path)} | set(HINTS)
    assert sorted(told - codes) == []


def test_options_of_frozen_encoders() -> None:
    section = PAGE.split("\n## Frozen encoders\n")[1].split("\n## ")[0]
    told = {named(name): named(default) for name, default, _ in rows(section, "option")}
    wanted = {
        name: "" if field.is_required() else json.dumps(field.default)
        for name, field in PretrainedEncoder.model_fields.items()
        if name != "type"
    }
    assert told == wanted


def test_every_type_of_target() -> None:
    section = PAGE.split("\n## Targets\n")[1].split("\n## ")[0]
    assert [named(row[0]) for row in rows(section, "`type`")] == list(get_args(TargetType))


def test_a_commit_in_an_example_is_a_placeholder() -> None:
    """No page names one of a model on a hub: whoever copied it would train something else, or nothing."""
    pages = [ROOT / "README.md", ROOT / "client" / "README.md", *(ROOT / "docs").glob("*.md")]
    assert [page.name for page in pages if re.search(r"\b[0-9a-f]{40}\b", page.read_text())] == []
