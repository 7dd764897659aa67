"""What estimating costs is planned for and counted, whatever the estimator."""

import pytest

from core.training.plan import planned_estimates, planned_samples
from core.training.run import run

# T has 84 rows and V 28; 3 heads; super-epochs of 2, 1 and 1 epochs; batches of 16, so a pass takes 6.
PASS = 84 * 3
LOOK = (84 + 28) * 3
HALF = (42 + 28) * 3


@pytest.mark.parametrize(
    ("estimator", "samples", "measured"),
    [
        # Measured before the first estimate and after every one; later ones start from what the last epoch measured.
        ({"type": "exact"}, [2 * PASS, PASS, PASS], [2 * LOOK, LOOK, LOOK]),
        ({"type": "exact", "subset": 0.5}, [2 * 42 * 3, 42 * 3, 42 * 3], [2 * HALF, HALF, HALF]),
        ({"type": "gradient", "steps": 7, "rows": 40}, [(84 + 16) * 3] * 3, [(40 + 28) * 3] * 3),
        ({"type": "gradient", "steps": 2}, [32 * 3] * 3, [LOOK] * 3),
        ({"type": "trajectory"}, [0, 0, 0], [LOOK, 0, 0]),
    ],
)
def test_every_estimate_costs_what_was_planned(
    estimator, samples, measured, make_spec, open_session, make_meter, tmp_path
):
    blending = {"strategy": "online", "super_epochs": {"first": 2, "later": 1}, "estimator": estimator, "floor": 0.05}
    session = open_session(make_spec(blending, epochs=4))
    meter = make_meter(session)
    ticks, step = [], meter.step
    meter.step = lambda count: (ticks.append(count), step(count))
    events = list(run(session, meter, tmp_path))
    costs = [event.cost for event in events if event.type == "super_epoch.weights"]
    assert [cost.samples for cost in costs] == samples
    assert [cost.measured for cost in costs] == measured
    assert all(cost.seconds > 0.0 for cost in costs)
    assert planned_estimates(session) == sum(samples)
    assert events[-1].cost["estimating"].samples == sum(samples)
    assert events[-1].cost["estimating"].measured == sum(measured)
    # With a floor no head loses its weight, so that the whole plan is used up to the sample, and told as it happens.
    assert planned_samples(session) == sum(samples) + 4 * PASS + 2 * 84 == sum(ticks)


@pytest.mark.parametrize("estimator", [{"type": "exact"}, {"type": "gradient"}])
def test_a_warm_up_costs_and_plans_nothing(estimator, make_spec, open_session, make_meter, tmp_path):
    blending = {"strategy": "online", "warm_up": 2, "super_epochs": {"first": 1, "later": 1}, "estimator": estimator}
    session = open_session(make_spec(blending, epochs=3))
    events = list(run(session, make_meter(session), tmp_path))
    first, second = (event for event in events if event.type == "super_epoch.weights")
    assert (first.policy, first.epochs, first.cost.samples, first.cost.measured) == ("warm_up", 2, 0, 0)
    assert [head.weight for head in first.heads] == [1 / 3] * 3
    assert second.policy == "shrunk"
    assert planned_estimates(session) == second.cost.samples > 0
    began = [event.super_epoch for event in events if event.type == "phase.started" and event.phase == "estimating"]
    assert began == [1]
