"""Back-off, down-sampling, ids, messages, slots: what needs no database."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest

from core.events import Cost, EarlyStop, EpochCompleted, PhaseStarted, PretrainEpoch, RunFailed
from core.events.messages import describe
from core.gpus import visible_gpus
from core.jobs.downsampling import thin
from core.jobs.lease import backoff_seconds
from core.jobs.recording import numbers_of
from core.jobs.views import MetricPoint
from core.logs import hide_passwords
from core.persistence.ids import new_id
from tests.integration.engine.samples import completed, measurement, run, weights
from worker.child import child_environment, describe_exit
from worker.devices import Slots


def test_backoff_doubles_up_to_five_minutes() -> None:
    assert [backoff_seconds(n, 5.0) for n in (1, 2, 3, 7, 8, 10_000)] == [5.0, 10.0, 20.0, 300.0, 300.0, 300.0]
    assert backoff_seconds(3, 0.0) == 0.0
    with pytest.raises(ValueError, match="from 1"):
        backoff_seconds(0, 5.0)


def test_ids_sort_by_time_and_differ() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    ids = [new_id("job", start + timedelta(milliseconds=n)) for n in range(100)]
    assert ids == sorted(ids)
    assert len({new_id("job", start) for _ in range(1000)}) == 1000
    assert ids[0].startswith("job_01")
    assert len(ids[0]) == 30


def _point(epoch: int, head: str = "fused") -> MetricPoint:
    return MetricPoint(
        scope="epoch", epoch=epoch, head=head, split="train", metric="loss", value=1.0 / epoch, se=None, seq=epoch
    )


def test_thin_keeps_measured_points_of_every_series_and_the_newest() -> None:
    points = [_point(epoch, head) for epoch in range(1, 11) for head in ("audio", "fused")]
    kept = thin(points, 3)
    assert [(p.head, p.epoch) for p in kept if p.head == "fused"] == [("fused", 3), ("fused", 6), ("fused", 10)]
    assert [p.epoch for p in kept if p.head == "audio"] == [3, 6, 10]
    assert list(kept) == [point for point in points if point in kept]
    assert thin(points, 10) == tuple(points)
    assert thin(points, 1000) == tuple(points)
    assert thin([], 5) == ()
    with pytest.raises(ValueError, match="at least 1"):
        thin(points, 0)


def test_every_event_has_a_sentence() -> None:
    for entry in run(2):
        level, message = describe(entry.event)
        assert level == "info"
        assert message
    assert describe(weights(1))[1] == "Weights of super-epoch 2: audio 0.250, image 0.500, fused 0.250"
    assert describe(PhaseStarted(phase="estimating", super_epoch=0))[1].endswith("(super-epoch 1)")
    assert "test accuracy 0.5000" in describe(completed())[1]
    ranked = completed().model_copy(update={"metric": "mean_average_precision", "test_score": 0.25})
    assert describe(ranked)[1].endswith("test mean average precision 0.2500")
    assert describe(RunFailed(code="c", message="no")) == ("error", "no")
    epoch = EpochCompleted(
        epoch=3,
        super_epoch=0,
        measurements=(measurement("audio", "train", None), measurement("fused", "train", 0.5)),
        cost=Cost(seconds=1.0, samples=1),
    )
    assert describe(epoch)[1] == "Epoch 3 is over; train loss fused 0.5000"
    stop = EarlyStop(heads=("fused",), split="validation", loss=0.9, best_loss=0.7, best_epoch=1, over=True)
    stopped = epoch.model_copy(update={"early_stopping": (stop,)})
    assert describe(stopped)[1] == "Epoch 3 is over; train loss fused 0.5000; fused back to epoch 1, the best"
    going_on = epoch.model_copy(update={"early_stopping": (stop.model_copy(update={"over": False}),)})
    assert describe(going_on) == describe(epoch)
    alone = PretrainEpoch(epoch=1, epochs=2, measurements=epoch.measurements, cost=epoch.cost)
    assert describe(alone)[1] == "Pre-training: epoch 1 of 2 is over; train loss fused 0.5000"
    assert describe(PhaseStarted(phase="pretraining"))[1] == "Training each modality alone"


def test_a_measurement_is_its_loss_and_every_metric() -> None:
    plain = measurement("fused", "test", 0.5)
    assert numbers_of(plain) == [("loss", 0.5, 0.01), ("accuracy", 0.5, 0.02)]
    classes = plain.model_copy(
        update={"score": 0.5, "score_se": 0.02, "metrics": {"accuracy": 0.5, "balanced_accuracy": 0.25}}
    )
    assert numbers_of(classes) == [*numbers_of(plain), ("balanced_accuracy", 0.25, None)]
    number = plain.model_copy(
        update={
            "accuracy": None,
            "accuracy_se": None,
            "score": 0.75,
            "score_se": 0.05,
            "metrics": {"r2": 0.75, "rmse": 2.0, "mae": None},
        }
    )
    assert numbers_of(number) == [("loss", 0.5, 0.01), ("r2", 0.75, 0.05), ("rmse", 2.0, None), ("mae", None, None)]


def test_gpus_are_those_that_cuda_visible_devices_names() -> None:
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "2, 5"}) == ("2", "5")
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": ""}) == ()
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "-1"}) == ()


def taken(slots: Slots, *counts: int) -> list[tuple[str, ...]]:
    """The GPUs that so many slots, taken one after the other, have."""
    found = []
    with ExitStack() as stack:
        for count in counts:
            held = stack.enter_context(slots.hold())
            assert held.take(count)
            found.append(held.gpus)
    return found


def test_slots_hand_out_each_gpu_once() -> None:
    slots = Slots(0, ("2", "5"))
    assert slots.count == 2
    assert taken(slots, 1, 1) == [("2",), ("5",)]
    assert taken(Slots(0, ("2", "5")), 2) == [("2", "5")]
    assert Slots(3, ()).count == 3
    assert Slots(0, ()).count >= 1
    assert taken(Slots(2, ()), 1, 1) == [(), ()]


def test_several_slots_of_one_training_are_different_gpus_where_they_can_be() -> None:
    assert taken(Slots(4, ("0", "1")), 1, 2, 1) == [("0",), ("1", "0"), ("1",)]
    assert taken(Slots(4, ("0", "1")), 3) == [("0", "1")]


def test_slots_are_taken_all_or_none_and_come_back() -> None:
    slots = Slots(3, ())
    with slots.hold() as held:
        assert held.take(2)
        with slots.hold() as other:
            assert not other.take(2)
            assert slots.wait_for(1, 0.0)
            assert not slots.wait_for(2, 0.0)
        held.keep(1)
        assert slots.wait_for(2, 0.0)
    assert slots.wait_for(3, 0.0)


def test_the_child_sees_no_secret_and_one_thread() -> None:
    own = {"PATH": "/bin", "GBLEND_DATABASE__URL": "postgresql://u:p@h/d", "CUDA_VISIBLE_DEVICES": "0,1", "RANK": "3"}
    assert child_environment(own, ["1"]) == {
        "PATH": "/bin",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "CUDA_VISIBLE_DEVICES": "1",
    }
    assert child_environment(own, [])["CUDA_VISIBLE_DEVICES"] == "0,1"
    assert child_environment(own, ["4", "7"])["CUDA_VISIBLE_DEVICES"] == "4,7"


def test_a_worker_process_imports_no_torch() -> None:
    program = "import sys, worker.celery_app; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_exits_are_named() -> None:
    assert describe_exit(1) == "ended with exit status 1"
    assert describe_exit(-9) == "was killed by SIGKILL"


def test_logs_hide_passwords() -> None:
    event = {"event": "lost redis://:hunter2@host:6379/0 and postgresql://me:s3cret@db/x", "count": 3}
    assert hide_passwords(None, "info", event) == {
        "event": "lost redis://:***@host:6379/0 and postgresql://me:***@db/x",
        "count": 3,
    }


def test_a_training_has_the_credentials_of_stores_only_where_its_data_may_lie_there() -> None:
    own = {"AWS_SECRET_ACCESS_KEY": "s", "FSSPEC_S3_KEY": "k", "GOOGLE_APPLICATION_CREDENTIALS": "/x", "GBLEND_X": "y"}
    assert set(own) & set(child_environment(own, [])) == set()
    assert set(own) & set(child_environment(own, [], remote_data=True)) == set(own) - {"GBLEND_X"}
