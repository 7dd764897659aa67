"""`GET /metrics`: literal numbers after known jobs, in a form that Prometheus reads."""

from __future__ import annotations

import re
import time
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from api.metrics import FRESH_SECONDS
from core.jobs.units import UnitService
from core.jobs.workers import WorkerFacts, WorkerService
from tests.e2e.api.live import LiveApi, serve
from tests.e2e.api.sse import stream
from tests.e2e.api.test_stream import Start
from tests.servers import wait_until

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]

OPERATIONS = (Path(__file__).parents[3] / "docs" / "operations.md").read_text()


def _scrape(api: LiveApi) -> Samples:
    """A scrape of its own look at the database."""
    time.sleep(FRESH_SECONDS)
    answer = api.client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    found: Samples = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
    return found


def _value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, tuple(sorted(labels.items()))))


def test_the_engine_in_numbers(start: Start, tmp_path: Path) -> None:
    with start(engine={"lease_seconds": 60, "retry_backoff_seconds": 300, "max_attempts": 2}) as api:
        crash = {"code": "child_crashed", "message": "it crashed", "hint": None}
        api.finished(tmp_path)
        crashed = api.submit()["id"]
        api.units.release(api.train(crashed), reason="child_crashed", error=crash)
        for _ in range(2):
            hopeless = api.submit()["id"]
        api.train(hopeless)
        api.submit()
        workers = WorkerService(api.database, api.settings.engine)
        facts = WorkerFacts(host="h", pid=1, version="0", queues=("default", "large"), slots=3, gpus=())
        workers.register(facts)
        workers.stop(workers.register(facts))

        samples = _scrape(api)
        assert _value(samples, "gblend_database_up") == 1
        assert _value(samples, "gblend_units", queue="default", state="ready") == 2
        assert _value(samples, "gblend_units", queue="default", state="backoff") == 1
        assert _value(samples, "gblend_units", queue="default", state="leased") == 1
        assert {labels: value for (name, labels), value in samples.items() if name == "gblend_jobs" and value} == {
            (("status", "queued"),): 3,
            (("status", "running"),): 1,
            (("status", "succeeded"),): 1,
        }
        assert _value(samples, "gblend_jobs", status="failed") == 0
        assert _value(samples, "gblend_workers_alive") == 1
        assert _value(samples, "gblend_worker_slots") == 3
        assert _value(samples, "gblend_worker_slots_busy") == 0  # what is leased here is leased by no worker
        assert _value(samples, "gblend_queue_workers", queue="large") == 1
        age = _value(samples, "gblend_oldest_ready_unit_age_seconds", queue="default")
        assert age is not None
        assert 0 < age < 120
        assert _value(samples, "gblend_attempt_failures_total", reason="child_crashed") == 1
        assert _value(samples, "gblend_retries_total", reason="child_crashed") == 1
        assert _value(samples, "gblend_leases_expired_total") == 0


def test_lost_leases_and_failures_are_counted_for_good(start: Start) -> None:
    """By whichever process saw them, over restarts, and also when the job is gone."""
    engine = {
        "lease_seconds": 0.2,
        "heartbeat_seconds": 0.1,
        "self_fence_seconds": 0.2,
        "retry_backoff_seconds": 0,
        "max_attempts": 2,
        "reap_seconds": 3600,
    }
    with start(engine=engine) as api:
        job_id = api.submit()["id"]
        another_process = UnitService(api.database, api.settings.engine)
        for _ in range(2):
            api.claim(job_id)
            wait_until(lambda: another_process.reap() == 1, "the lease to run out")
        assert api.client.get(f"/v1/jobs/{job_id}").json()["status"] == "failed"
        assert api.client.delete(f"/v1/jobs/{job_id}").status_code < 300
        settings = api.settings
        samples = _scrape(api)
        assert _value(samples, "gblend_jobs", status="failed") == 0
        assert _value(samples, "gblend_leases_expired_total") == 2
        assert _value(samples, "gblend_attempt_failures_total", reason="worker_lost") == 2
        assert _value(samples, "gblend_retries_total", reason="worker_lost") == 1
    with serve(settings) as again:
        assert _value(_scrape(again), "gblend_leases_expired_total") == 2


def test_requests_are_counted_by_route_and_streams_by_what_comes_live(start: Start) -> None:
    with start() as api:
        job_id = api.submit()["id"]
        for path in (job_id, job_id, "job_nope"):
            api.client.get(f"/v1/jobs/{path}")
        for n in range(5):
            api.client.get(f"/nothing/{n}")
        lease = api.claim(job_id)
        with stream(api.client, job_id) as frames:
            for _ in range(3):  # retry, and two events that were there before
                next(frames)
            samples = _scrape(api)
            assert _value(samples, "gblend_streams_open") == 1
            api.units.fail(lease, {"code": "x", "message": "no", "hint": None}, reason="x")
            assert [frame.event for frame in frames][-1] == "done"
        samples = _scrape(api)
        count = "gblend_http_request_duration_seconds_count"
        route = "/v1/jobs/{job_id}"
        assert _value(samples, count, route=route, method="GET", status="200") == 2
        assert _value(samples, count, route=route, method="GET", status="404") == 1
        assert _value(samples, count, route="/v1/jobs", method="POST", status="201") == 1
        assert _value(samples, count, route="unmatched", method="GET", status="404") == 5
        assert _value(samples, count, route="/v1/jobs/{job_id}/events/stream", method="GET", status="200") == 1
        assert _value(samples, "gblend_event_lag_seconds_count", stream="events") == 1
        assert _value(samples, "gblend_event_lag_seconds_count", stream="logs") == 0
        lag = _value(samples, "gblend_event_lag_seconds_sum", stream="events")
        assert lag is not None
        assert 0 <= lag < 30
        assert not [labels for _, labels in samples if any(job_id in value for _, value in labels)]


def test_a_scrape_without_a_database_tells_that(start: Start) -> None:
    with start() as api:
        api.database.close()
        with api.database.write() as session:
            session.connection().exec_driver_sql("ALTER TABLE unit RENAME TO unit_gone")
        samples = _scrape(api)
        assert _value(samples, "gblend_database_up") == 0
        assert _value(samples, "gblend_streams_open") == 0
        assert _value(samples, "gblend_workers_alive") is None


def test_openmetrics_where_it_is_asked_for(api: LiveApi) -> None:
    answer = api.client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


def test_every_metric_is_in_the_operations_manual(api: LiveApi) -> None:
    families = {family.name: family for family in text_string_to_metric_families(api.client.get("/metrics").text)}
    ours = {name for name in families if not name.endswith("_created")}
    assert len(ours) > 10
    rows = dict(re.findall(r"^\| `(gblend_\w+)(?:\{[\w, ]*\})?` \| (\w+) \|", OPERATIONS, re.MULTILINE))
    shown = {f"{name}_total" if families[name].type == "counter" else name: families[name].type for name in ours}
    assert rows == shown
