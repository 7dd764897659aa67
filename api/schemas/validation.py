"""The answer to `POST /v1/jobs?validate_only=true`."""

from __future__ import annotations

from typing import Literal

from api.schemas.base import JsonObject, WireModel
from api.schemas.problem import ProblemError


class ValidationOut(WireModel):
    """What a submission would say; nothing was created."""

    object: Literal["job.validation"] = "job.validation"
    valid: bool
    """Whether a submission would be accepted."""
    errors: list[ProblemError]
    warnings: list[ProblemError]
    spec: JsonObject
    """The spec with every default written out."""
    spec_fingerprint: str
