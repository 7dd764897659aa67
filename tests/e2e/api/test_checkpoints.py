"""Shared checkpoints over HTTP and through the SDK; files that lie in S3, through the API."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import s3fs
from gblend_client import AsyncGblend, Gblend
from gblend_client.errors import NotFound

from core.artifacts import ArtifactStore
from core.jobs.lease import StoredArtifact
from core.jobs.shared_checkpoint import SharedCheckpoint, StoredFile
from tests.e2e.api.live import LiveApi
from tests.e2e.client.proxy import proxy_to
from tests.integration.engine import samples
from tests.s3_server import S3Server


def test_shared_checkpoints_are_listed_newest_first(api: LiveApi) -> None:
    job_id = api.submit()["id"]
    path = f"/v1/jobs/{job_id}/checkpoints"
    empty = api.client.get(path)
    assert (empty.status_code, empty.json()["data"], empty.headers["retry-after"]) == (200, [], "1")
    lease = api.claim(job_id)
    for name, size in (("00000004", 100), ("00000008", 200)):
        files = (StoredFile(name="state.json", bytes=size, sha256="0" * 64), StoredFile(name="a", bytes=1, sha256="0"))
        api.units.checkpoints.record(
            lease, SharedCheckpoint(job_id=job_id, fence=lease.fence, name=name, uri="jobs/x", files=files)
        )
    answer = api.client.get(path, headers={"If-None-Match": empty.headers["etag"]})
    assert answer.status_code == 200
    rows = answer.json()["data"]
    assert [(row["name"], row["fence"], row["bytes"], row["job_id"]) for row in rows] == [
        ("00000008", 1, 201, job_id),
        ("00000004", 1, 101, job_id),
    ]
    assert list(rows[0]) == ["object", "job_id", "fence", "head", "name", "bytes", "created_at"]
    assert api.client.get(path, headers={"If-None-Match": answer.headers["etag"]}).status_code == 304

    async def ask() -> tuple[str, ...]:
        async with AsyncGblend(api.url) as client:
            return tuple(checkpoint.name for checkpoint in await client.jobs.checkpoints(job_id))

    with Gblend(api.url) as client:
        found = client.jobs.checkpoints(job_id)
        assert [(c.name, c.fence, c.bytes) for c in found] == [("00000008", 1, 201), ("00000004", 1, 101)]
        assert found[0].created_at is not None
        with pytest.raises(NotFound):
            client.jobs.checkpoints("job_none")
    assert asyncio.run(ask()) == ("00000008", "00000004")
    missing = api.client.get("/v1/jobs/job_none/checkpoints")
    assert (missing.status_code, missing.json()["code"]) == (404, "job.not_found")


def test_a_part_of_a_large_file_in_s3_moves_little_more_than_the_part(
    start: Callable[..., AbstractContextManager[LiveApi]],
    s3_server: S3Server,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """What the service fetches from the store is counted on the wire."""
    s3fs.S3FileSystem.clear_instance_cache()  # one that was made before knows another address
    content = os.urandom(48 << 20)
    source = tmp_path / "model.bin"
    source.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    with proxy_to(s3_server.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        url = f"s3://{s3_server.BUCKET}/through/proxy"
        with start(artifacts={"url": url}) as live:
            job_id = live.submit()["id"]
            lease = live.train(job_id)
            key = ArtifactStore(url).put(source, f"jobs/{job_id}/1/model.bin", size=len(content), sha256=digest)
            stored = StoredArtifact(name="model.bin", kind="model", bytes=len(content), sha256=digest, uri=key)
            live.units.succeed(lease, samples.completed(), [stored])
            href = f"/v1/jobs/{job_id}/artifacts/model.bin"
            before = sum(proxy.passed)
            part = live.client.get(href, headers={"Range": "bytes=20000000-20000099"})
            assert (part.status_code, part.content) == (206, content[20_000_000:20_000_100])
            assert sum(proxy.passed) - before < 6 << 20
            whole = hashlib.sha256()
            with live.client.stream("GET", href) as stream:
                for chunk in stream.iter_bytes():
                    whole.update(chunk)
            assert whole.hexdigest() == digest
    s3fs.S3FileSystem.clear_instance_cache()
