"""Whether what a store's client raised will pass by itself: nobody listens, the server is at fault, or it is too much.

Clients have no common base, and need not be installed: their errors are told by their classes' names.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator

_PASSING = frozenset(
    {
        "botocore.exceptions.HTTPClientError",  # no connection, none in time, or it broke
        "botocore.exceptions.ConnectionError",  # the endpoint's name is not known, or it refuses
        "aiohttp.client_exceptions.ClientConnectionError",
        "aiohttp.client_exceptions.ClientPayloadError",
        "requests.exceptions.ConnectionError",
        "requests.exceptions.Timeout",
        "google.auth.exceptions.TransportError",
    }
)
_LASTING = frozenset(
    {
        "botocore.exceptions.SSLError",
        "botocore.exceptions.InvalidProxiesConfigError",
        "aiohttp.client_exceptions.ClientConnectorCertificateError",
        "aiohttp.client_exceptions.ClientConnectorSSLError",
        "ssl.SSLCertVerificationError",
        "requests.exceptions.SSLError",
    }
)
"""Of these, those that are a matter of settings."""
_THROTTLED = frozenset(
    {
        "InternalError",
        "RequestLimitExceeded",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
    }
)
_STATUSES = frozenset({408, 425, 429})
_NOT_IMPLEMENTED = 501
_ERRNOS = frozenset({errno.EBUSY, getattr(errno, "EREMOTEIO", errno.EBUSY)})
"""What s3fs makes of 503 and 500 where it forgets the answer."""


def is_outage(error: BaseException) -> bool:
    """Whether asking again later may help. An answer for good (404, 403) is none, nor a certificate that is not
    trusted."""
    for each in _causes(error):
        names = {f"{kind.__module__}.{kind.__name__}" for kind in type(each).__mro__}
        if names & _LASTING or isinstance(each, PermissionError | FileNotFoundError):
            return False
        status = _status(each)
        if status is not None:
            return _code(each) in _THROTTLED or status in _STATUSES or (status >= 500 and status != _NOT_IMPLEMENTED)
        if names & _PASSING or isinstance(each, ConnectionError | TimeoutError) or _code(each) in _THROTTLED:
            return True
    return isinstance(error, OSError) and error.errno in _ERRNOS


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it came of."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or found.__context__


def _status(error: BaseException) -> int | None:
    """The HTTP status that an error tells: botocore's in its answer, aiohttp's as `status`, gcsfs's as `code`."""
    told = _answer(error).get("ResponseMetadata", {}).get("HTTPStatusCode")
    for each in (told, getattr(error, "status", None), getattr(error, "code", None)):
        if isinstance(each, int | str) and str(each).isdecimal():
            return int(each)
    return None


def _code(error: BaseException) -> str:
    return str(_answer(error).get("Error", {}).get("Code", ""))


def _answer(error: BaseException) -> dict[str, dict[str, object]]:
    answer = getattr(error, "response", None)
    return answer if isinstance(answer, dict) else {}
