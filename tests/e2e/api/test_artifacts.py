"""Files that a job left behind, over HTTP."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest

from core.artifacts import ArtifactStore
from tests.e2e.api.live import LiveApi
from tests.integration.engine.samples import MODEL

SHA256 = hashlib.sha256(MODEL).hexdigest()


@pytest.fixture(scope="session")
def href(shared_api: LiveApi, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where a finished job's model is."""
    job_id = shared_api.finished(tmp_path_factory.mktemp("model"))
    listed = shared_api.client.get(f"/v1/jobs/{job_id}/artifacts").json()
    assert (listed["object"], listed["has_more"]) == ("list", False)
    (artifact,) = listed["data"]
    assert list(artifact) == ["object", "id", "job_id", "name", "kind", "bytes", "sha256", "href", "created_at"]
    assert (artifact["name"], artifact["kind"], artifact["bytes"]) == ("model.bin", "model", len(MODEL))
    assert artifact["sha256"] == SHA256
    found: str = artifact["href"]
    assert found == f"/v1/jobs/{job_id}/artifacts/model.bin"
    return found


def test_a_file_comes_whole_with_its_digest(api: LiveApi, href: str) -> None:
    response = api.client.get(href)
    assert (response.status_code, response.content) == (200, MODEL)
    assert response.headers["etag"] == f'"{SHA256}"'
    digest = base64.b64encode(hashlib.sha256(MODEL).digest()).decode()
    assert response.headers["repr-digest"] == f"sha-256=:{digest}:"
    assert response.headers["content-length"] == str(len(MODEL))
    assert response.headers["accept-ranges"] == "bytes"
    assert response.headers["content-type"] == "application/octet-stream"
    assert response.headers["content-disposition"] == "attachment; filename=\"model.bin\"; filename*=UTF-8''model.bin"
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=3-7", 3, 7),
        ("bytes=5-", 5, 17),
        ("bytes=-4", 14, 17),
        ("bytes=-400", 0, 17),
        ("bytes=10-4000", 10, 17),
    ],
)
def test_a_range_is_answered(api: LiveApi, href: str, asked: str, first: int, last: int) -> None:
    assert len(MODEL) == 18
    response = api.client.get(href, headers={"Range": asked})
    assert response.status_code == 206
    assert response.headers["content-range"] == f"bytes {first}-{last}/18"
    assert response.headers["content-length"] == str(last - first + 1)
    assert response.content == MODEL[first : last + 1]
    assert response.headers["etag"] == f'"{SHA256}"'


@pytest.mark.parametrize("asked", ["bytes=18-", "bytes=400-500", "bytes=-0"])
def test_a_range_behind_the_end_is_416(api: LiveApi, href: str, asked: str) -> None:
    response = api.client.get(href, headers={"Range": asked})
    assert (response.status_code, response.json()["code"]) == (416, "request.range")
    assert response.headers["content-range"] == "bytes */18"


@pytest.mark.parametrize("asked", ["bytes=", "bytes=-", "bytes=5-3", "bytes=0-1,3-4", "lines=1-2", "bytes=a-b"])
def test_a_range_that_is_none_is_ignored(api: LiveApi, href: str, asked: str) -> None:
    response = api.client.get(href, headers={"Range": asked})
    assert (response.status_code, response.content) == (200, MODEL)


def test_a_range_of_another_version_is_the_whole(api: LiveApi, href: str) -> None:
    same = api.client.get(href, headers={"Range": "bytes=3-", "If-Range": f'"{SHA256}"'})
    assert same.status_code == 206
    other = api.client.get(href, headers={"Range": "bytes=3-", "If-Range": '"older"'})
    assert (other.status_code, other.content) == (200, MODEL)


def test_a_file_that_the_client_has_is_not_sent(api: LiveApi, href: str) -> None:
    response = api.client.get(href, headers={"If-None-Match": f'"{SHA256}"'})
    assert (response.status_code, response.content) == (304, b"")


@pytest.mark.parametrize("name", ["nope.bin", "..%2f..%2fgblend.sqlite3", "%00", "model.bin/x"])
def test_an_unknown_file_is_not_found(api: LiveApi, href: str, name: str) -> None:
    response = api.client.get(f"{href.rpartition('/')[0]}/{name}")
    assert response.status_code == 404
    assert response.json()["code"] == "artifact.not_found"


def test_a_job_that_runs_has_no_files_yet(api: LiveApi) -> None:
    job_id = api.submit()["id"]
    listed = api.client.get(f"/v1/jobs/{job_id}/artifacts")
    assert (listed.json()["data"], listed.headers["retry-after"]) == ([], "1")


def test_a_file_that_vanished_from_the_store_is_not_found(api: LiveApi, tmp_path: Path) -> None:
    job_id = api.finished(tmp_path)
    ArtifactStore(api.settings.artifacts_url).delete_below(f"jobs/{job_id}")
    response = api.client.get(f"/v1/jobs/{job_id}/artifacts/model.bin")
    assert (response.status_code, response.json()["code"]) == (404, "artifact.not_found")
