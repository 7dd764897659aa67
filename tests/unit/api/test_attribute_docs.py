"""Field descriptions from the strings below the fields."""

from __future__ import annotations

from typing import Generic, TypeVar

from pydantic import BaseModel, Field

from core.attribute_docs import DocumentedModel, attribute_docs
from core.spec import JobSpec

T = TypeVar("T")


class Base(DocumentedModel):
    """A base."""

    first: int
    """The first.
    On two lines."""
    second: int = 2


class Sub(Base):
    """A model."""

    second: int = 3
    """Told here."""
    third: Base
    """A reference."""
    fourth: int = Field(description="Said already.")
    """Not this."""


class Box(DocumentedModel, Generic[T]):
    """A generic model."""

    inside: T
    """What is inside."""


class Plain(BaseModel):
    """Not one of ours."""

    field: int
    """Not read."""


def test_docstrings_become_descriptions() -> None:
    assert attribute_docs(Base) == {"first": "The first.\nOn two lines."}
    properties = Sub.model_json_schema()["properties"]
    assert properties["first"]["description"] == "The first.\nOn two lines."
    assert properties["second"]["description"] == "Told here."
    assert properties["third"] == {"$ref": "#/$defs/Base", "description": "A reference."}
    assert properties["fourth"]["description"] == "Said already."
    assert "description" not in Plain.model_json_schema()["properties"]["field"]


def test_generic_models_keep_theirs() -> None:
    assert Box[int].model_json_schema()["properties"]["inside"]["description"] == "What is inside."


def test_the_job_spec_is_described() -> None:
    definitions = JobSpec.model_json_schema()["$defs"]
    assert "held out" in definitions["Holdout"]["description"]
    assert "whole groups are taken" in definitions["Holdout"]["properties"]["fraction"]["description"]
