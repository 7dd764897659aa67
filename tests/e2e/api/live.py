"""A real API: uvicorn in a thread, a database, a broker folder; and a worker's side that tests move by hand."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from api.main import create_app
from api.server import address_of, build, listen
from core.artifacts import ArtifactStore
from core.jobs.lease import Lease, StoredArtifact
from core.jobs.units import UnitService
from core.persistence import Database
from core.persistence.repositories import UnitRepository
from core.settings import Settings
from tests.integration.engine import samples
from tests.servers import wait_until

ROWS = "\n".join(f"s{n},{n}.5,{n % 3},{n * 2},{'yes' if n % 2 else 'no'}" for n in range(40))
MANIFEST = f"id,height,colour,weight,label\n{ROWS}\n"


def write_manifest(folder: Path) -> None:
    """A small table that every check accepts, as `data://toy/manifest.csv`."""
    (folder / "toy").mkdir(parents=True, exist_ok=True)
    (folder / "toy" / "manifest.csv").write_text(MANIFEST)


def toy_spec(**changes: Any) -> dict[str, Any]:
    """A job spec for that table, as JSON."""
    return {
        "name": "toy",
        "dataset": {
            "source": {"type": "manifest", "uri": "data://toy/manifest.csv"},
            "sample_id": "id",
            "target": {"column": "label"},
            "modalities": [
                {"type": "tabular", "name": "size", "columns": [{"name": "height", "type": "number"}]},
                {
                    "type": "tabular",
                    "name": "look",
                    "columns": [{"name": "colour", "type": "category"}, {"name": "weight", "type": "number"}],
                },
            ],
        },
        **changes,
    }


class LiveApi:
    """A running server: its address, a client for it, and the worker's side of its database."""

    def __init__(self, app: FastAPI, settings: Settings, url: str, client: httpx.Client) -> None:
        self.app = app
        self.settings = settings
        self.url = url
        self.client = client
        self.database = Database(settings.database_url)
        self.units = UnitService(self.database, settings.engine)

    def submit(self, **changes: Any) -> dict[str, Any]:
        """A new job."""
        response = self.client.post("/v1/jobs", json=toy_spec(**changes))
        assert response.status_code == 201, response.text
        job: dict[str, Any] = response.json()
        return job

    def unit_of(self, job_id: str) -> str:
        """The job's unit."""
        with self.database.read() as session:
            return UnitRepository(session).of_job(job_id)[0].id

    def claim(self, job_id: str) -> Lease:
        """What a worker does first."""
        lease = self.units.claim(self.unit_of(job_id), "a-test")
        assert lease is not None
        return lease

    def train(self, job_id: str, *, epochs: int = 3) -> Lease:
        """Claim the job and record a whole run but for its end."""
        lease = self.claim(job_id)
        self.units.record(lease, samples.run(epochs))
        return lease

    def finish(self, lease: Lease, tmp_path: Path) -> None:
        """Store the run's file and end the job well."""
        written = samples.completed().artifacts[0]
        source = tmp_path / written.name
        source.write_bytes(samples.MODEL)
        key = f"jobs/{lease.job_id}/{lease.fence}/{written.name}"
        ArtifactStore(self.settings.artifacts_url).put(source, key, size=written.bytes, sha256=written.sha256)
        stored = StoredArtifact(
            name=written.name, kind=written.kind, bytes=written.bytes, sha256=written.sha256, uri=key
        )
        self.units.succeed(lease, samples.completed(), [stored])

    def finished(self, tmp_path: Path, *, epochs: int = 3) -> str:
        """The id of a job that succeeded."""
        job_id: str = self.submit()["id"]
        self.finish(self.train(job_id, epochs=epochs), tmp_path)
        return job_id


@contextmanager
def serve(settings: Settings, port: int = 0) -> Iterator[LiveApi]:
    """The API on this port, or on a free one, until the block ends."""
    app = create_app(settings)
    server = build(app)
    listening = listen("127.0.0.1", port, drop_after_seconds=settings.api.sse_send_timeout_seconds)
    url = address_of(listening)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    wait_until(lambda: server.started or not thread.is_alive(), "the server")
    assert server.started
    with httpx.Client(base_url=url, timeout=30) as client:
        live = LiveApi(app, settings, url, client)
        try:
            yield live
        finally:
            server.should_exit = True
            thread.join(20)
            live.database.close()
    assert not thread.is_alive(), "the server does not stop"
