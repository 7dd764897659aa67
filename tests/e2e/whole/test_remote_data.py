"""A job whose data lie on an object store, over HTTP: looked at, trained from, refused outside of what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.whole.service import WholeService
from tests.s3_server import S3_KEY, S3_SECRET, S3Server
from tests.tiny import tiny_spec
from tests.unit.data.builders import clip_spec, clips, write_csv

pytestmark = pytest.mark.timeout(300)


def test_a_job_trains_from_an_object_store(s3_server: S3Server, tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    write_csv(folder / "manifest.csv", clips(folder, 48))
    for path in folder.iterdir():
        s3_server.client().put_object(Bucket=s3_server.BUCKET, Key=f"sets/clips/{path.name}", Body=path.read_bytes())
    remote = f"s3://{s3_server.BUCKET}/sets"
    whole = WholeService(tmp_path, environment={"GBLEND_ROOTS__REMOTE": f'["{remote}"]', **s3_server.environment})
    try:
        whole.start_api("up")
        here = {**tiny_spec(epochs=2), "dataset": clip_spec()}
        there = {**here, "dataset": clip_spec(source={"type": "manifest", "uri": f"{remote}/clips/manifest.csv"})}
        found = whole.client.post("/v1/datasets/validate", json={"dataset": there["dataset"]}).json()
        assert (found["valid"], found["errors"], found["statistics"]["rows"]) == (True, [], 48)
        copied = list(tmp_path.glob("state/mirror/objects/*/*/*"))
        assert [path.name for path in copied] == ["manifest.csv"]

        jobs = whole.wait_until_ended(whole.submit(there), whole.submit(here))
        assert [job["status"] for job in jobs] == ["succeeded"] * 2, (jobs, whole.log())
        assert len(list(tmp_path.glob("state/mirror/objects/*/*/*"))) == 97
        metrics = [whole.history(job["id"])["metrics"] for job in jobs]
        assert metrics[0] == metrics[1]

        for uri in (
            f"s3://{s3_server.BUCKET}/other/m.csv",
            f"{remote}-2/clips/manifest.csv",
            f"{remote}/../sets/m.csv",
        ):
            refused = whole.client.post(
                "/v1/jobs", json={**here, "dataset": clip_spec(source={"type": "manifest", "uri": uri})}
            )
            assert refused.status_code == 422
            assert [(error["code"], error["pointer"]) for error in refused.json()["errors"]] == [
                ("source.forbidden", "#/dataset/source/uri")
            ]
        s3_server.stop()
        away = whole.client.post("/v1/jobs", json=there)
        assert away.status_code == 422, away.text
        assert [error["code"] for error in away.json()["errors"]] == ["source.unavailable"]
        told = f"{whole.log()}{away.text}{[path.read_text() for path in tmp_path.glob('state/runs/*/*/child.log')]}"
        assert S3_SECRET not in told
        assert S3_KEY not in told
    finally:
        whole.close()
        s3_server.stop()
        s3_server.start()
