# ruff: noqa: N818 - read as `except gblend_client.NotFound`; the tree below says that they are errors
"""Every error that the client raises on purpose.

GblendError
├── InvalidInput        what you handed over cannot be sent: a spec file, a URL, a key, a name
├── ConnectionFailed    no answer: refused, timed out, broken off, after all retries
├── ProtocolError       an answer that is not the contract's: no JSON, a gap in the event log
├── IntegrityError      a downloaded file is not what the service says it is
├── WaitTimeout         `wait(timeout=...)` ran out; the job goes on
└── APIError            the service answered with a problem (RFC 9457)
    ├── Unauthorized    401, 403
    ├── NotFound        404
    ├── Conflict        409
    ├── Validation      400, 413, 415, 422: the request is wrong as it stands
    ├── RateLimited     429
    └── ServerError     5xx
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemItem:
    """One thing that is wrong (or, with severity `warning`, odd) with a request."""

    code: str = "invalid"
    detail: str = ""
    pointer: str | None = None
    """JSON pointer into the job spec, as a URI fragment: `#/dataset/modalities/1/column`."""
    parameter: str | None = None
    """The query parameter, header or path part, where it is not about the body."""
    hint: str | None = None
    severity: str = "error"
    sample: str | None = None
    count: int | None = None
    """How many offenders there are in all; `examples` holds a few of them."""
    examples: tuple[str, ...] = ()


class GblendError(Exception):
    """The root. `detail` says what happened, `hint` what to do about it."""

    def __init__(self, detail: str, *, hint: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint


class InvalidInput(GblendError):
    """What the caller handed over cannot be sent; nothing was."""


class ConnectionFailed(GblendError):
    """The service gave no answer, in spite of all retries."""


class ProtocolError(GblendError):
    """The service's answer is not what the contract says."""


class IntegrityError(GblendError):
    """A downloaded file is not what the service says it is; nothing was left at its place."""


class WaitTimeout(GblendError, TimeoutError):
    """The job did not end in the time given. It goes on."""


class APIError(GblendError):
    """The service answered with a problem. `code` is a stable slug to switch on; `errors` lists what is wrong."""

    def __init__(
        self,
        detail: str,
        *,
        status: int,
        code: str,
        errors: Sequence[ProblemItem] = (),
        hint: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail, hint=hint)
        self.status = status
        self.code = code
        self.errors = tuple(errors)
        self.request_id = request_id
        self.retry_after = retry_after
        """Seconds that the service asks to wait, where it does."""

    def __str__(self) -> str:
        return f"{self.status} {self.code}: {self.detail}"


class Unauthorized(APIError):
    """401 or 403: the key is missing, unknown or not allowed to do this."""


class NotFound(APIError):
    """404: no such object in this project."""


class Conflict(APIError):
    """409: the object's state forbids the action."""


class Validation(APIError):
    """400, 413, 415 or 422: the request is wrong as it stands; `errors` says where and how."""


class RateLimited(APIError):
    """429: too many requests or jobs."""


class ServerError(APIError):
    """5xx: the service's own fault."""


def class_for(status: int) -> type[APIError]:
    """The class of errors that an HTTP status means."""
    by_status: dict[int, type[APIError]] = {
        400: Validation,
        401: Unauthorized,
        403: Unauthorized,
        404: NotFound,
        409: Conflict,
        413: Validation,
        415: Validation,
        422: Validation,
        429: RateLimited,
    }
    return by_status.get(status, ServerError if status >= 500 else APIError)
