"""Every error that gblend raises on purpose.

    GblendError
    ├── SpecError          the request is wrong as it stands (schema, columns, URIs)
    ├── DataError          the data behind a good request are wrong
    ├── TrainingError      the training itself cannot go on (a loss that is not finite)
    ├── CheckpointError    a checkpoint is missing, truncated or of another run
    ├── NotFoundError      no such object in this project
    ├── ConflictError      the object's state forbids the action
    ├── LimitError         something is full; it will have room later
    ├── IdempotencyError   the key was used with another body, or its first use is not over
    ├── LeaseLostError     another worker holds the unit now, or nobody may any more
    └── ArtifactError      an artifact cannot be stored or read

An error has a stable `code` (a slug that clients may switch on), a `detail` for people, a `hint` that names the way
out, and, where several things are wrong at once, one `Issue` each. It never has an HTTP status: `api.errors` maps them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, overload

Severity = Literal["error", "warning"]
_LONGEST_MESSAGE, _LONGEST_TEXT, _LONGEST_EXAMPLE = 10_000, 1000, 300
"""Characters of an error's own words, of an issue's, and of one example."""


@overload
def shown(text: str, longest: int = ...) -> str: ...
@overload
def shown(text: None, longest: int = ...) -> None: ...
def shown(text: str | None, longest: int = _LONGEST_TEXT) -> str | None:
    """A text as messages carry it: not longer than that, without NUL and halves of surrogates."""
    if text is None:
        return None
    if len(text) > longest:
        text = text[: longest - 4] + " ..."
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """One thing that is wrong (or odd) with a spec or its data.

    `pointer` is a JSON pointer into the job spec (RFC 6901, as a URI fragment: `#/dataset/modalities/1/column`).
    `examples` holds at most five offenders; `count` says how many there are in all.
    """

    code: str
    detail: str
    pointer: str | None = None
    hint: str | None = None
    severity: Severity = "error"
    sample: str | None = None
    count: int | None = None
    examples: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Texts come from data that may be anything: they are cut, and what no database takes is escaped."""
        for name in ("detail", "hint", "sample"):
            object.__setattr__(self, name, shown(getattr(self, name)))
        object.__setattr__(self, "examples", tuple(shown(example, _LONGEST_EXAMPLE) for example in self.examples))

    def to_json(self) -> dict[str, Any]:
        """The issue as JSON, without the fields that say nothing."""
        raw: dict[str, Any] = {
            "code": self.code,
            "severity": self.severity,
            "detail": self.detail,
            "pointer": self.pointer,
            "hint": self.hint,
            "sample": self.sample,
            "count": self.count,
            "examples": list(self.examples) or None,
        }
        return {key: value for key, value in raw.items() if value is not None}

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Issue:
        """The inverse of `to_json`."""
        return cls(**{**raw, "examples": tuple(raw.get("examples", ()))})


@dataclass(eq=False)
class GblendError(Exception):
    """The root. Subclasses give a default `code`; a raiser may give a more precise one."""

    detail: str
    code: str = "internal"
    hint: str | None = None
    issues: tuple[Issue, ...] = field(default=())

    def __post_init__(self) -> None:
        """See `Issue`."""
        self.detail, self.hint = shown(self.detail, _LONGEST_MESSAGE), shown(self.hint, _LONGEST_MESSAGE)

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"

    def to_json(self) -> dict[str, Any]:
        """`{code, message, hint, errors}`: the form that a failed job keeps."""
        body: dict[str, Any] = {"code": self.code, "message": self.detail, "hint": self.hint}
        if self.issues:
            body["errors"] = [issue.to_json() for issue in self.issues]
        return body


@dataclass(eq=False)
class SpecError(GblendError):
    """The request is wrong as it stands; nothing was created."""

    code: str = "spec.invalid"


@dataclass(eq=False)
class DataError(GblendError):
    """The data behind a well-formed spec cannot be trained on."""

    code: str = "data.invalid"


@dataclass(eq=False)
class TrainingError(GblendError):
    """The training cannot go on."""

    code: str = "training.failed"


@dataclass(eq=False)
class CheckpointError(GblendError):
    """A checkpoint cannot be used; the one before it may."""

    code: str = "checkpoint.invalid"


@dataclass(eq=False)
class NotFoundError(GblendError):
    """No such object in this project."""

    code: str = "not_found"


@dataclass(eq=False)
class ConflictError(GblendError):
    """The object's state forbids the action."""

    code: str = "conflict"


@dataclass(eq=False)
class LimitError(GblendError):
    """There is no room now; there will be later."""

    code: str = "limit"


@dataclass(eq=False)
class IdempotencyError(GblendError):
    """`idempotency.mismatch`: same key, another body. `idempotency.in_flight`: the first use is not over."""

    code: str = "idempotency.mismatch"


@dataclass(eq=False)
class LeaseLostError(GblendError):
    """A fenced write found that this worker's lease is no longer the unit's."""

    code: str = "lease.lost"


@dataclass(eq=False)
class ArtifactError(GblendError):
    """An artifact cannot be stored or read."""

    code: str = "artifact.failed"
