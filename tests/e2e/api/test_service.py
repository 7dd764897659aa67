"""Alive, ready, the index, the document and the page made of it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from core.settings import Settings
from tests.e2e.api.live import LiveApi, serve
from tests.servers import PostgresServer, free_port, wait_until

Start = Callable[..., AbstractContextManager[LiveApi]]


def test_health_and_readiness(api: LiveApi) -> None:
    assert api.client.get("/healthz").json() == {"status": "ok"}
    assert api.client.get("/readyz").json() == {
        "status": "ready",
        "checks": {"database": "ok", "migrations": "ok", "broker": "ok"},
    }


def test_an_old_schema_is_not_ready(tmp_path: Path) -> None:
    with serve(Settings(state_dir=tmp_path)) as api:
        assert api.client.get("/healthz").status_code == 200
        response = api.client.get("/readyz")
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")
        body = response.json()
        assert (body["code"], body["detail"]) == ("not_ready", "not ready: migrations")
        assert [error["code"] for error in body["errors"]] == ["not_ready.migrations"]
        assert "gblend-server migrate" in body["errors"][0]["hint"]


def test_a_broker_that_is_down_is_not_ready(start: Start) -> None:
    with start(broker={"url": f"redis://user:secret@127.0.0.1:{free_port()}/0"}) as api:
        response = api.client.get("/readyz")
        assert response.status_code == 503
        assert [error["code"] for error in response.json()["errors"]] == ["not_ready.broker"]
        assert "secret" not in response.text


def test_a_broker_of_its_own_is_ready(start: Start, redis_url: str) -> None:
    with start(broker={"url": redis_url}) as api:
        assert api.client.get("/readyz").status_code == 200
        api.submit()


def test_a_database_that_is_down_is_not_ready(make_settings: Callable[..., Settings]) -> None:
    url = f"postgresql://user:secret@127.0.0.1:{free_port()}/gblend"
    with serve(make_settings(database={"url": url})) as api:
        response = api.client.get("/readyz")
        assert response.status_code == 503
        assert [error["code"] for error in response.json()["errors"]] == ["not_ready.database"]
        assert "secret" not in response.text


def test_a_database_that_is_away_is_no_failure_of_the_request(
    start: Start, postgres_server: PostgresServer, postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """503 and when to ask again, as any other 5xx; a line in the log, and no traceback per request."""
    with start(database={"url": postgres_url}) as api:
        job_id = api.submit()["id"]
        postgres_server.stop()
        try:
            for method, path in (("GET", f"/v1/jobs/{job_id}"), ("GET", f"/v1/jobs/{job_id}/events/stream")):
                answer = api.client.request(method, path)
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
                assert answer.json()["code"] == "database.unavailable"
                assert "127.0.0.1" not in answer.text
        finally:
            postgres_server.start()
        wait_until(lambda: api.client.get(f"/v1/jobs/{job_id}").status_code == 200, "the API to be back")
    assert "request failed" not in caplog.text
    assert "database does not answer" in caplog.text


def test_the_service_comes_back_when_its_broker_folder_does(start: Start) -> None:
    with start() as api:
        shutil.rmtree(api.settings.state_dir / "broker", ignore_errors=True)
        assert api.client.get("/readyz").status_code == 200


def test_the_index_points_to_what_there_is(api: LiveApi) -> None:
    index = api.client.get("/").json()
    assert index["service"] == "gblend"
    for path in index["links"].values():
        assert api.client.get(path).status_code == 200


def test_the_reference_page_loads_nothing_from_elsewhere(api: LiveApi) -> None:
    response = api.client.get("/docs")
    assert response.headers["content-type"].startswith("text/html")
    assert "<script" not in response.text
    assert not re.search(r"""(?:src|href)=["'](?:https?:)?//""", response.text)
    for path in api.client.get("/openapi.json").json()["paths"]:
        assert path in response.text
