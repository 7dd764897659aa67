"""Whole runs with augmentation: cut off and resumed, estimated head by head, and over real files of sound and image."""

import json

import numpy as np
import pytest

from core.data.dataset import prepare
from core.spec import JobSpec
from core.training.drive import EXIT_DONE, EXIT_STOPPED, drive
from tests.integration.training.conftest import alone, events, parameters
from tests.tiny import tiny_augmented_spec
from tests.unit.data.builders import clip_spec, clips, write_csv

FILES = ("model.safetensors", "metrics.json", "super_epochs.json")
ESTIMATORS = [{"type": "exact", "subset": 0.5}, {"type": "gradient", "steps": 3}, {"type": "trajectory"}]


def history(run_dir):
    """What is told of a run but for seconds."""
    return [_without_seconds(event) for event in events(run_dir)]


def _without_seconds(value):
    if isinstance(value, dict):
        return {key: _without_seconds(item) for key, item in value.items() if key not in ("seconds", "artifacts")}
    return [_without_seconds(item) for item in value] if isinstance(value, list) else value


def same(one, two):
    """Whether two runs left the same bytes and told the same."""
    bits = [(one / "artifacts" / name).read_bytes() == (two / "artifacts" / name).read_bytes() for name in FILES]
    return all(bits) and history(one) == history(two)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: estimator["type"])
def test_a_run_that_is_cut_off_between_batches_ends_with_the_same_bits(make_run_dir, estimator, masked):
    spec = tiny_augmented_spec(
        {"strategy": "online", "super_epochs": {"first": 1, "later": 1}, "estimator": estimator},
        epochs=3,
        dropout=0.3,
        masked=masked,
        training={"pretrain_epochs": 1},
        diagnostics={"forgetting": True},
    )
    whole = make_run_dir("whole", spec)
    alone([whole])
    earlier = []
    for attempt in range(8):  # the probes at the end are repeated as a whole, so the last attempt has time
        calls = iter([False] * (11 if attempt < 7 else 10_000) + [True] * 10_000)
        run_dir = make_run_dir(f"attempt{attempt}", spec, resume_from=earlier)
        assert drive(run_dir, lambda calls=calls: next(calls)) == (EXIT_STOPPED if attempt < 7 else EXIT_DONE)
        earlier = [run_dir]
    assert same(run_dir, whole)


def test_an_estimate_apart_is_that_of_one_pass_for_all(make_run_dir):
    """Bit for bit, though a process for one head sees, and varies, the batches of that modality alone."""
    spec = tiny_augmented_spec({"strategy": "offline", "estimator": {"type": "exact"}}, epochs=2)
    together = make_run_dir("together", spec)
    alone([together])
    files = []
    for head in JobSpec.model_validate(spec).head_names:
        run_dir = make_run_dir(f"e-{head}", spec)
        _add(run_dir, head=head)
        alone([run_dir])
        files.append(str(run_dir / "estimate.safetensors"))
    apart = make_run_dir("apart", spec)
    _add(apart, estimates=files)
    alone([apart])
    for name in FILES:
        found, wanted = ((run_dir / "artifacts" / name).read_bytes() for run_dir in (apart, together))
        if name.endswith(".safetensors"):
            assert found == wanted
        else:
            assert _without_seconds(json.loads(found)) == _without_seconds(json.loads(wanted))


def _add(run_dir, **more):
    request = json.loads((run_dir / "spec.json").read_text()) | more
    (run_dir / "spec.json").write_text(json.dumps(request))


VARIED = {
    "audio": {"time_masks": 1, "time_width": 0.3, "frequency_masks": 1, "shift": 0.2},
    "image": {"flip": True, "shift": 0.25, "rotate": 20, "erase": 0.2, "brightness": 0.3, "contrast": 0.3},
}


def test_sounds_and_images_are_trained_on_varied_and_measured_as_they_are(make_run_dir, roots):
    rows = clips(roots["data"] / "clips", n=48)
    write_csv(roots["data"] / "clips" / "manifest.csv", rows)
    runs = {}
    for name, augment in (("plain", {}), ("varied", VARIED), ("again", VARIED)):
        modalities = [each | {"augment": augment.get(each["type"], {})} for each in clip_spec()["modalities"]]
        spec = {
            "seed": 1,
            "dataset": clip_spec(modalities=modalities),
            "blending": {"strategy": "equal"},
            "training": {"epochs": 2, "batch_size": 8},
            "runtime": {"device": "cpu"},
        }
        runs[name] = make_run_dir(name, spec)
        alone([runs[name]])
    assert same(runs["varied"], runs["again"])
    assert not same(runs["varied"], runs["plain"])
    pair = [parameters(runs[name]) for name in ("plain", "varied")]
    assert pair[0].keys() == pair[1].keys()
    moved = [name for name in pair[0] if not np.array_equal(pair[0][name], pair[1][name])]
    assert {"encoder_face", "encoder_voice"} <= {name.split(".")[0] for name in moved}
    # The data that are measured on are the same ones, and say so.
    fingerprints = {prepare(_spec(run_dir), roots).fingerprint for run_dir in runs.values()}
    assert len(fingerprints) == 1


def _spec(run_dir):
    return JobSpec.model_validate(json.loads((run_dir / "spec.json").read_text())["spec"])
