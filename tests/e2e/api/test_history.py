"""Events, super-epochs and metrics; and what makes polling them cheap."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from core.events import Cost, EpochCompleted, JournalEntry
from tests.e2e.api.live import LiveApi, toy_spec
from tests.integration.engine import samples

Start = Callable[..., AbstractContextManager[LiveApi]]


def _get(api: LiveApi, path: str, **params: Any) -> dict[str, Any]:
    response = api.client.get(path, params=params)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def test_the_log_pages_by_seq(api: LiveApi) -> None:
    job_id = api.submit()["id"]
    api.train(job_id)
    whole = _get(api, f"/v1/jobs/{job_id}/events")
    assert not whole["has_more"]
    assert [event["seq"] for event in whole["data"]] == list(range(1, 15))
    assert list(whole["data"][0]) == [
        *("id", "seq", "object", "job_id", "attempt", "type", "level", "created_at", "message", "data")
    ]
    assert {event["object"] for event in whole["data"]} == {"job.event"}
    assert all(event["message"] for event in whole["data"])
    seen, after = [], 0
    while True:
        page = _get(api, f"/v1/jobs/{job_id}/events", after=after, limit=4)
        seen += page["data"]
        if not page["has_more"]:
            break
        after = int(page["next_after"])
    assert seen == whole["data"]
    assert _get(api, f"/v1/jobs/{job_id}/events", after=14) == {
        "object": "list",
        "data": [],
        "has_more": False,
        "next_after": None,
    }


def test_the_log_filters_by_type(api: LiveApi) -> None:
    job_id = api.submit()["id"]
    api.train(job_id)
    page = _get(api, f"/v1/jobs/{job_id}/events", type=["epoch.completed", "job.created"])
    assert [event["type"] for event in page["data"]] == ["job.created", *["epoch.completed"] * 3]
    assert _get(api, f"/v1/jobs/{job_id}/events", type="no.such")["data"] == []


def test_super_epochs_have_weights_and_what_led_to_them(api: LiveApi) -> None:
    job_id = api.submit()["id"]
    api.train(job_id)
    page = _get(api, f"/v1/jobs/{job_id}/super-epochs")
    assert [row["super_epoch"] for row in page["data"]] == [0, 1, 2]
    row = page["data"][0]
    assert row["weights"] == {"audio": 0.25, "image": 0.5, "fused": 0.25}
    assert row["alternatives"] == {"paper": {"audio": 0.2, "image": 0.6, "fused": 0.2}}
    assert [(head["head"], head["G"], head["weight"], head["learnt"]) for head in row["heads"]] == [
        ("audio", 0.1, 0.25, True),
        ("image", 0.2, 0.5, True),
        ("fused", 0.1, 0.25, True),
    ]
    assert set(row["heads"][0]) >= {"G_se", "O", "O_se", "ogr", "ogr_se", "weight_low", "weight_high", "flags"}
    assert row["cost"] == {"seconds": 0.5, "samples": 200, "measured": 0}
    assert [r["super_epoch"] for r in _get(api, f"/v1/jobs/{job_id}/super-epochs", after=0, limit=1)["data"]] == [1]
    newest = _get(api, f"/v1/jobs/{job_id}/super-epochs", max_points=1)
    assert ([r["super_epoch"] for r in newest["data"]], newest["has_more"]) == ([len(page["data"]) - 1], False)
    assert _get(api, f"/v1/jobs/{job_id}/super-epochs", max_points=1000)["data"] == page["data"]


def test_metrics_filter_and_keep_what_is_not_finite(api: LiveApi) -> None:
    job_id = api.submit()["id"]
    api.train(job_id)
    train = _get(api, f"/v1/jobs/{job_id}/metrics", head="image", split="train", metric="loss", scope="epoch")
    assert [(row["epoch"], row["value"]) for row in train["data"]] == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert {row["se"] for row in train["data"]} == {0.01}
    holdout = _get(api, f"/v1/jobs/{job_id}/metrics", split="holdout", metric="loss")
    assert [row["value"] for row in holdout["data"]] == [None, None, None]
    assert _get(api, f"/v1/jobs/{job_id}/metrics", scope="fine_tune")["data"] == []
    first = _get(api, f"/v1/jobs/{job_id}/metrics", limit=5)
    rest = _get(api, f"/v1/jobs/{job_id}/metrics", after=first["next_after"])
    assert [*first["data"], *rest["data"]] == _get(api, f"/v1/jobs/{job_id}/metrics")["data"]


def test_long_curves_are_thinned_out(start: Start) -> None:
    with start(api={"max_list": 40}) as api:
        job_id = api.submit()["id"]
        lease = api.train(job_id, epochs=1)
        number = len(samples.run(1))
        values = [5.0 if n == 57 else 0.1 if n == 31 else 1.0 for n in range(2, 101)]
        epochs = [
            EpochCompleted(
                epoch=n,
                super_epoch=0,
                measurements=tuple(samples.measurement(head, "train", value) for head in ("image", "fused")),
                cost=Cost(seconds=0.1, samples=80),
            )
            for n, value in enumerate(values, start=2)
        ]
        api.units.record(lease, [JournalEntry(number=number + n, event=e) for n, e in enumerate(epochs, start=1)])
        query = {"split": "train", "metric": "loss", "scope": "epoch"}
        thinned = _get(api, f"/v1/jobs/{job_id}/metrics", head="fused", max_points=8, **query)
        assert len(thinned["data"]) <= 8
        assert {5.0, 0.1} <= {row["value"] for row in thinned["data"]}
        assert thinned["data"][-1]["epoch"] == 100
        both = _get(api, f"/v1/jobs/{job_id}/metrics", max_points=10_000, **query)
        assert len(both["data"]) <= 40
        assert {row["head"] for row in both["data"]} == {"image", "fused"}
        plain = _get(api, f"/v1/jobs/{job_id}/metrics", limit=10_000, **query)
        assert (len(plain["data"]), plain["has_more"]) == (40, True)


@pytest.mark.parametrize("what", ["", "/events", "/super-epochs", "/metrics", "/artifacts"])
def test_polling_with_an_etag_costs_nothing_until_something_changes(api: LiveApi, tmp_path: Path, what: str) -> None:
    job_id = api.submit()["id"]
    lease = api.train(job_id)
    path = f"/v1/jobs/{job_id}{what}"
    first = api.client.get(path)
    tag = first.headers["etag"]
    assert tag.startswith('"')
    assert (first.headers["cache-control"], first.headers["retry-after"]) == ("no-cache", "1")
    for named in (tag, f'W/"x", W/{tag}', "*"):
        again = api.client.get(path, headers={"If-None-Match": named})
        assert (again.status_code, again.content) == (304, b"")
        assert (again.headers["etag"], again.headers["retry-after"]) == (tag, "1")
    assert api.client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200
    last = len(samples.run(3))
    api.units.record(
        lease,
        [JournalEntry(number=last + n, event=e.event) for n, e in enumerate(_next_epoch(), start=1)],
    )
    api.finish(lease, tmp_path)
    changed = api.client.get(path, headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag
    assert "retry-after" not in changed.headers


def _next_epoch() -> list[JournalEntry]:
    return [
        JournalEntry(number=1, event=samples.weights(3)),
        JournalEntry(
            number=2,
            event=EpochCompleted(
                epoch=4,
                super_epoch=3,
                measurements=(samples.measurement("image", "train", 0.1),),
                cost=Cost(seconds=0.1, samples=80),
            ),
        ),
    ]


def test_only_a_question_can_be_answered_with_not_modified(api: LiveApi) -> None:
    for params in ({}, {"validate_only": "true"}):
        response = api.client.post("/v1/jobs", params=params, json=toy_spec(), headers={"If-None-Match": "*"})
        assert response.status_code in (200, 201)


def test_the_list_of_jobs_has_an_etag_too(start: Start) -> None:
    with start() as api:
        api.submit()
        tag = api.client.get("/v1/jobs").headers["etag"]
        assert api.client.get("/v1/jobs", headers={"If-None-Match": tag}).status_code == 304
        api.submit()
        assert api.client.get("/v1/jobs", headers={"If-None-Match": tag}).status_code == 200


@pytest.mark.parametrize("what", ["/events", "/super-epochs", "/metrics", "/artifacts", "/artifacts/model.bin"])
def test_an_unknown_job_has_no_history(api: LiveApi, what: str) -> None:
    response = api.client.get(f"/v1/jobs/job_nope{what}")
    assert (response.status_code, response.json()["code"]) == (404, "job.not_found")
