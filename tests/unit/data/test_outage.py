"""What a store's client raises: will it pass?"""

from __future__ import annotations

import errno
import ssl
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from botocore import exceptions as boto
from gcsfs.retry import HttpError
from s3fs.errors import translate_boto_error

from core.data.problems import is_passing, source_error
from core.data.remote.outage import is_outage
from core.errors import DataError, Issue


def answered(status: int, code: str) -> Exception:
    """As s3fs tells an answer of S3."""
    response: Any = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    error = translate_boto_error(boto.ClientError(response, "GetObject"))
    assert isinstance(error, Exception)
    return error


def forgotten(status: int, code: str) -> Exception:
    """The same where it forgets what it came of."""
    error = answered(status, code)
    error.__cause__ = error.__context__ = None
    return error


KEY: Any = SimpleNamespace(host="h", port=443, ssl=True, is_ssl=True)


@pytest.mark.parametrize(
    "error",
    [
        boto.EndpointConnectionError(endpoint_url="http://h"),
        boto.ConnectTimeoutError(endpoint_url="http://h"),
        boto.ReadTimeoutError(endpoint_url="http://h"),
        boto.ConnectionClosedError(endpoint_url="http://h"),
        aiohttp.ClientPayloadError("cut"),
        aiohttp.ServerDisconnectedError(),
        aiohttp.ClientConnectorError(KEY, OSError(errno.ECONNREFUSED, "no")),
        ConnectionRefusedError(),
        TimeoutError(),
        answered(500, "InternalError"),
        answered(502, "BadGateway"),
        answered(503, "SlowDown"),
        answered(503, "ServiceUnavailable"),
        answered(400, "RequestTimeout"),
        answered(429, "TooManyRequests"),
        forgotten(503, "SlowDown"),
        forgotten(500, "500"),
        HttpError({"code": 503, "message": "no"}),
        HttpError({"code": "429", "message": "no"}),
    ],
    ids=repr,
)
def test_what_passes(error: Exception) -> None:
    assert is_outage(error)


@pytest.mark.parametrize(
    "error",
    [
        answered(404, "NoSuchKey"),
        answered(403, "AccessDenied"),
        answered(403, "SignatureDoesNotMatch"),
        answered(403, "403"),
        answered(400, "InvalidRequest"),
        answered(501, "NotImplemented"),
        answered(416, "InvalidRange"),
        forgotten(403, "InvalidAccessKeyId"),
        boto.NoCredentialsError(),
        boto.SSLError(endpoint_url="https://h", error="certificate"),
        aiohttp.ClientConnectorCertificateError(KEY, ssl.SSLCertVerificationError("certificate")),
        OSError(errno.ENOSPC, "disk full"),
        ValueError("what"),
        HttpError({"code": 404, "message": "no"}),
        HttpError({"message": "no"}),
    ],
    ids=repr,
)
def test_what_stays(error: Exception) -> None:
    assert not is_outage(error)


def test_what_it_came_of_counts() -> None:
    wrapped = RuntimeError("the client says no more")
    wrapped.__cause__ = boto.ReadTimeoutError(endpoint_url="http://h")
    assert is_outage(wrapped)
    wrapped.__cause__.__cause__ = wrapped  # a circle
    assert is_outage(wrapped)


def test_a_failure_passes_only_where_nothing_else_is_wrong() -> None:
    away = source_error("source.unavailable", "away")
    assert is_passing(away)
    odd = Issue(code="column.constant", detail="odd", severity="warning")
    assert is_passing(DataError("away", code="source.unavailable", issues=(*away.issues, odd)))
    wrong = Issue(code="file.missing", detail="wrong")
    assert not is_passing(DataError("away", code="source.unavailable", issues=(*away.issues, wrong)))
    assert not is_passing(DataError("wrong"))
