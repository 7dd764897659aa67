"""RFC 9457 problem details: the one form that errors have."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from api.schemas.base import WireModel
from core.errors import Issue

MEDIA_TYPE = "application/problem+json"


class ProblemError(WireModel):
    """One of the things that are wrong."""

    code: str
    """A slug that clients may switch on."""
    detail: str
    """For people."""
    pointer: str | None = None
    """JSON pointer into the request body, as a URI fragment; `null` where it is not about the body."""
    parameter: str | None = None
    """The query parameter, header or path part that is wrong, where it is not about the body."""
    hint: str | None = None
    """The way out, where there is one."""
    severity: Literal["error", "warning"] = "error"
    sample: str | None = None
    """The sample (row) concerned."""
    count: int | None = None
    """How many samples are concerned in all."""
    examples: list[str] | None = None
    """At most five of them."""

    @classmethod
    def of(cls, issue: Issue) -> ProblemError:
        """The wire form of an issue found by `core`."""
        return cls(
            code=issue.code,
            detail=issue.detail,
            pointer=issue.pointer,
            hint=issue.hint,
            severity=issue.severity,
            sample=issue.sample,
            count=issue.count,
            examples=list(issue.examples) or None,
        )

    @classmethod
    def by_severity(cls, issues: Iterable[Issue]) -> tuple[list[ProblemError], list[ProblemError]]:
        """The errors among the issues, and the warnings."""
        errors: list[ProblemError] = []
        warnings: list[ProblemError] = []
        for issue in issues:
            (errors if issue.severity == "error" else warnings).append(cls.of(issue))
        return errors, warnings


class Problem(WireModel):
    """An error answer (`application/problem+json`)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:gblend:problem:spec.invalid",
                    "title": "Unprocessable Content",
                    "status": 422,
                    "detail": "the job spec has 1 problem; nothing was created",
                    "instance": "/v1/jobs",
                    "code": "spec.invalid",
                    "request_id": "req_2f0c6d8e5b7a4f10",
                    "errors": [
                        {
                            "code": "column.missing",
                            "detail": "the manifest has no column 'speeker'",
                            "pointer": "#/dataset/modalities/1/column",
                            "hint": "did you mean 'speaker'?",
                            "severity": "error",
                        }
                    ],
                }
            ]
        },
    )

    type: str
    """`urn:gblend:problem:` and the code."""
    title: str
    """The HTTP status in words."""
    status: int
    detail: str
    """What happened this time."""
    instance: str
    """The path that was asked for."""
    code: str
    """A slug that clients may switch on."""
    request_id: str
    """The same as the `X-Request-ID` header and the server's log lines."""
    hint: str | None = None
    """The way out, where there is one."""
    errors: Annotated[list[ProblemError], Field(default_factory=list)]
    """Every single thing that is wrong, all in one answer."""
