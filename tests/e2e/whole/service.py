"""The whole service as an operator starts it: `gblend-server` processes, real training, HTTP from outside."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from tests.servers import free_port, is_running, wait_until

ENGINE = {
    "LEASE_SECONDS": "3",
    "HEARTBEAT_SECONDS": "0.5",
    "SELF_FENCE_SECONDS": "2",
    "REAP_SECONDS": "0.3",
    "REDISPATCH_SECONDS": "1",
    "RETRY_BACKOFF_SECONDS": "0",
    "DESIRED_POLL_SECONDS": "0.1",
}
"""Clocks short enough to watch a lease run out."""
SECONDS = 240.0


class WholeService:
    """Processes of one deployment, and a client for its API."""

    def __init__(self, folder: Path, *, environment: Mapping[str, str], engine: Mapping[str, str] = ENGINE) -> None:
        """`engine`: settings of the engine that every process gets; empty for those that an operator has."""
        self._folder = folder
        self._environment = {
            **os.environ,
            "GBLEND_STATE_DIR": str(folder / "state"),
            "GBLEND_ROOTS__DATA": str(folder),
            "GBLEND_ENGINE__SLOTS": "1",
            **{f"GBLEND_ENGINE__{name}": value for name, value in engine.items()},
            **environment,
        }
        self._port = free_port()
        self._processes: list[subprocess.Popen[bytes]] = []
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self._port}", timeout=30)

    def start(self, *command: str, environment: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        """`gblend-server COMMAND`, in the deployment's environment with these changes."""
        with (self._folder / "service.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "api.cli", *command],
                env={**self._environment, **(environment or {})},
                cwd=Path(__file__).parents[3],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def running(self) -> list[subprocess.Popen[bytes]]:
        """The processes started here that have not ended."""
        return [process for process in self._processes if process.poll() is None]

    def start_api(self, command: str = "api") -> subprocess.Popen[bytes]:
        """The API (or, as `up`, everything), ready to answer."""
        process = self.start(command, "--port", str(self._port))
        wait_until(self._ready, f"{command} to be ready: {self.log()[-2000:]}")
        return process

    def _ready(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return self.client.get("/readyz").status_code == 200
        return False

    def log(self) -> str:
        """What all processes have written."""
        path = self._folder / "service.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def submit(self, spec: dict[str, Any]) -> str:
        """A new job's id."""
        response = self.client.post("/v1/jobs", json=spec)
        assert response.status_code == 201, response.text
        job_id: str = response.json()["id"]
        return job_id

    def get(self, path: str, **parameters: Any) -> Any:
        """The JSON at a path."""
        response = self.client.get(path, params=parameters)
        assert response.status_code == 200, response.text
        return response.json()

    def every(self, path: str) -> list[Any]:
        """All entries of a list, page by page."""
        found: list[Any] = []
        parameters: dict[str, Any] = {"limit": 500}
        while True:
            page = self.get(path, **parameters)
            found += page["data"]
            if not page["has_more"]:
                return found
            parameters["after"] = page["next_after"]

    def wait_for_events(self, job_id: str, kind: str, count: int) -> None:
        """Until so many events of a type are recorded."""
        path = f"/v1/jobs/{job_id}/events"
        wait_until(
            lambda: len(self.get(path, type=kind, limit=1000)["data"]) >= count,
            f"{count} events {kind} of {job_id}",
            seconds=SECONDS,
        )

    def wait_until_ended(self, *job_ids: str) -> list[dict[str, Any]]:
        """The jobs once they have all ended."""
        paths = [f"/v1/jobs/{job_id}" for job_id in job_ids]
        wait_until(
            lambda: all(self.get(path)["is_terminal"] for path in paths), "the jobs to end", seconds=SECONDS, every=0.2
        )
        return [self.get(path) for path in paths]

    def history(self, job_id: str) -> dict[str, Any]:
        """Everything that must not depend on who was killed when: weights, metrics, events, digests of the files."""
        base = f"/v1/jobs/{job_id}"
        events = self.every(f"{base}/events")
        seqs = [event["seq"] for event in events]
        assert seqs == list(range(1, len(seqs) + 1)), "events have gaps or come twice"
        told = [event for event in events if not event["type"].startswith("job.")]
        return {
            "super_epochs": _plain(self.every(f"{base}/super-epochs")),
            "metrics": _plain(self.every(f"{base}/metrics")),
            "events": _plain([{"type": event["type"], "data": event["data"]} for event in told]),
            "artifacts": {file["name"]: file["sha256"] for file in self.get(f"{base}/artifacts")["data"]},
        }

    def training_pids(self, job_id: str) -> list[int]:
        """Processes that train this job."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                line = path.read_bytes()
                if b"core.training" in line and job_id.encode() in line:
                    found.append(int(path.parent.name))
        return [pid for pid in found if is_running(pid)]

    def close(self) -> None:
        """Ends every process, gently at first."""
        self.client.close()
        for process in self._processes:
            if process.poll() is None:
                process.terminate()
        for process in self._processes:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(30)


def _plain(value: Any) -> Any:
    """Without what names a job, a moment, a duration or the place in the job's log."""
    if isinstance(value, dict):
        left_out = {"id", "job_id", "created_at", "seconds", "seq", "attempt"}
        return {key: _plain(item) for key, item in value.items() if key not in left_out}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
