"""What a result is flagged with: when selection and test disagree, and what its super-epochs said."""

import json

import numpy as np
import pytest
import torch

from core.data.dataset import prepare
from core.events import Measurement
from core.training.evaluate import _disagree
from core.training.run import run
from core.training.session import Session
from tests.tiny import ONLINE


def scored(score, error, samples, split="test"):
    return Measurement(
        head="fused",
        split=split,
        loss=1.0,
        loss_se=0.1,
        accuracy=None,
        accuracy_se=None,
        score=score,
        score_se=error,
        samples=samples,
    )


@pytest.mark.parametrize(
    ("selected", "tested", "shift"),
    [
        ((0.90, 0.02, 225), (0.70, 0.02, 525), True),
        ((0.90, 0.02, 225), (0.88, 0.02, 225), False),
        ((0.70, 0.02, 525), (0.90, 0.02, 225), True),  # too good to be true is a shift as well
        ((1.00, 0.00, 12), (0.80, 0.018, 500), False),  # 12 right in a row: one in 15 at 80 %
        ((1.00, 0.00, 400), (0.80, 0.018, 500), True),
        ((-40.0, 0.0, 2), (0.60, 0.03, 200), False),  # R^2 of two rows
        ((0.90, None, 200), (0.20, 0.02, 200), False),  # an error that nobody knows
        ((None, None, 200), (0.20, 0.02, 200), False),
        ((1.00, 0.00, 50), (1.00, 0.00, 50), False),
    ],
)
def test_a_shift_is_what_errors_do_not_explain(selected, tested, shift):
    assert _disagree(scored(*selected, split="validation"), scored(*tested)) is shift


def test_a_result_carries_the_flags_of_its_super_epochs(train, make_spec, tmp_path):
    # Steps far too long: heads get worse, and without a floor one that does not takes all the weight there is.
    blending = ONLINE | {"policy": "paper", "super_epochs": {"first": 1, "later": 1}}
    spec = make_spec(blending, epochs=8, training={"optimizer": {"type": "adam", "lr": 0.5}, "keep": "last"})
    _, events = train(spec)
    told = [event for event in events if event.type == "super_epoch.weights"]
    by_head = {flag for event in told for head in event.heads for flag in head.flags}
    assert any(event.degenerate for event in told)
    assert by_head >= {"noise_dominated", "starved"}
    assert {*events[-1].flags} - {"shift_suspected"} == {"degenerate", "noise_dominated", "starved"}
    written = json.loads((tmp_path / "artifacts" / "metrics.json").read_text())
    assert written["flags"] == list(events[-1].flags)


@pytest.mark.parametrize("shift", [True, False])
def test_a_test_part_unlike_the_validation_part_is_suspected(make_spec, make_meter, roots, tmp_path, shift):
    with np.load(roots["data"] / "tiny.npz") as arrays:
        found = dict(arrays)
    if shift:  # where the test part was taken, what one class looked like is called by the next one's name
        found["y"] = np.where(found["part"] == "test", (found["y"] + 1) % 3, found["y"])
    np.savez(tmp_path / "tiny.npz", **found)
    spec = make_spec({"strategy": "equal"}, epochs=6)
    session = Session(spec, prepare(spec, {**roots, "data": tmp_path}), torch.device("cpu"))
    *_, done = run(session, make_meter(session), tmp_path)
    assert ("shift_suspected" in done.flags) is shift
