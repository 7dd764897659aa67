"""Training and prediction where rows lack a modality: every strategy, the files it leaves, and who moves with whom."""

import json

import numpy as np
import pytest
import safetensors.torch
import torch

from core.data.dataset import prepare
from core.data.modalities import decode_sample
from core.spec import JobSpec
from core.spec.base import FINE_TUNED
from core.training.drive import EXIT_DONE, drive
from core.training.measure import measure
from core.training.run import run
from core.training.session import Session
from tests.tiny import ROWS, tiny_masked_spec, write_tiny_masked
from tests.unit.training.conftest import CPU
from tests.unit.training.test_artifacts import answers
from tests.unit.training.test_resume import never, outcome


@pytest.fixture(scope="session")
def roots(tmp_path_factory):
    """The folder that `data://` means, with `masked.parquet` in it."""
    folder = tmp_path_factory.mktemp("masked")
    write_tiny_masked(folder)
    return {"data": folder, "models": folder}


def masked(*arguments, **parts):
    return JobSpec.model_validate(tiny_masked_spec(*arguments, **parts))


def online(estimator):
    return {"strategy": "online", "super_epochs": {"first": 1, "later": 1}, "estimator": {"type": estimator}}


STRATEGIES = [
    {"strategy": "naive"},
    {"strategy": "unimodal", "modality": "clean"},
    {"strategy": "ensemble"},
    {"strategy": "equal"},
    {"strategy": "fixed", "weights": {"clean": 1.0, "fused": 1.0}},
    {"strategy": "uncertainty"},
    {"strategy": "ogm_ge"},
    {"strategy": "mmpareto"},
    {"strategy": "offline"},
    online("exact"),
    online("gradient"),
    online("trajectory"),
]


@pytest.mark.parametrize("blending", STRATEGIES, ids=lambda blending: "-".join(map(str, list(blending.values())[::2])))
def test_every_strategy_trains_and_measures_every_head_on_all_rows(train, blending):
    single = blending["strategy"] in ("unimodal", "ensemble")
    session, events = train(masked(blending, epochs=2, diagnostics={} if single else {"forgetting": True}))
    done = events[-1]
    assert done.type == "run.completed"
    assert {measured.samples for measured in done.test} == {32}
    assert all(np.isfinite(measured.loss) for measured in done.test)
    assert len(done.forgotten) == (0 if single else 2)
    assert all(found.drop is not None for found in done.contributions)
    for name in session.model.masked:
        trained = blending["strategy"] != "fixed" or name == "clean"
        assert bool(session.model.missing(name).any()) or not trained, name


def test_a_head_answers_alike_wherever_its_modality_is_absent(train):
    session, _ = train(masked({"strategy": "equal"}, epochs=2))
    test = session.data.split.test
    absent = session.data.batch(test)["clean:present"] == 0.0
    assert 5 < absent.sum() < 20
    with torch.no_grad():
        (batch,) = session.batches.in_order(test)
        logits = session.model.eval()(batch.inputs)
    assert torch.equal(logits["clean"][absent], logits["clean"][absent][:1].expand(int(absent.sum()), -1))
    assert len({tuple(row) for row in logits["fused"][absent].tolist()}) > 1


@pytest.mark.parametrize("fusion", ["concat", "mid_concat", "nl_gate"])
def test_the_files_answer_with_and_without_a_modality_as_the_run_did(roots, make_meter, tmp_path, fusion):
    spec = masked({"strategy": "equal"}, epochs=3, model={"fusion": fusion})
    data = prepare(spec, roots)
    session = Session(spec, data, CPU)
    done = list(run(session, make_meter(session), tmp_path))[-1]
    folder = tmp_path / "artifacts"
    states = json.loads((folder / "model.json").read_bytes())["preprocessing"]
    with np.load(roots["data"] / "tiny.npz") as arrays:
        raw = {name: arrays[name] for name in ("clean", "noisy")}
    test = data.split.test
    present = data.batch(test)
    rows = []
    for place, row in enumerate(test.tolist()):
        there = {name: raw[name][row] for name in raw if present[f"{name}:present"][place]}
        rows.append(decode_sample(states, there))
    inputs = {key: torch.from_numpy(np.concatenate([row[key] for row in rows])) for key in rows[0]}
    for key, values in present.items():
        assert np.array_equal(inputs[key].numpy(), values), key
    card, objective, outputs = answers(folder, inputs)
    losses = objective.losses(outputs, torch.from_numpy(data.targets[test]))
    assert losses.mean().item() == pytest.approx(done.test_loss, rel=1e-6)
    assert objective.metrics.score(
        objective.evidence(outputs, torch.from_numpy(data.targets[test])).numpy(), np.ones((1, 32))
    )[0] == pytest.approx(done.test_score)
    # One sample at a time, and the same sample without what it has.
    whole = next(place for place, row in enumerate(rows) if row["clean:present"][0] and row["noisy:present"][0])
    said = {}
    for name, left_out in (("both", ()), ("clean", ("noisy",)), ("noisy", ("clean",))):
        given = {key: raw[key][test[whole]] for key in raw if key not in left_out}
        decoded = {key: torch.from_numpy(value) for key, value in decode_sample(states, given).items()}
        said[name] = torch.softmax(answers(folder, decoded)[2], dim=1)
        assert torch.isfinite(said[name]).all()
    assert torch.allclose(said["both"][0], torch.softmax(outputs, dim=1)[whole], atol=1e-6)
    assert not torch.allclose(said["both"], said["noisy"], atol=0.05)
    assert card["answer"] in ("heads_pool", FINE_TUNED, "fused", "heads_average", "clean", "noisy")
    assert {"missing_clean", "missing_noisy"} <= set(safetensors.torch.load_file(folder / "model.safetensors"))


def test_a_donor_gives_its_presence_with_its_contents(open_session):
    session = open_session(masked())
    rows = np.arange(ROWS)
    donors = np.roll(rows, 1)
    (batch,) = session.batches.in_order(rows, {"clean": donors})
    (plain,) = session.batches.in_order(rows)
    given = torch.from_numpy(donors)
    for key in ("clean", "clean:present"):
        assert torch.equal(batch.inputs[key], plain.inputs[key][given]), key
    for key in ("noisy", "noisy:present"):
        assert torch.equal(batch.inputs[key], plain.inputs[key]), key
    assert plain.inputs["clean:present"].sum().item() == 96
    assert plain.inputs["noisy:present"].sum().item() == 144


def test_with_one_donor_for_all_a_modality_says_nothing_any_more(train):
    """Neither by its contents nor by whether it is there."""
    session, events = train(masked({"strategy": "unimodal", "modality": "clean"}, epochs=2))
    (found,) = events[-1].contributions
    test = session.data.split.test
    scores = measure(
        session.model,
        session.batches.in_order(test, {"clean": np.full(len(test), test[0])}),
        ["clean"],
        objective=session.objective,
    )
    losses = scores["clean"].losses
    assert len(np.unique(losses[session.data.targets[test] == 0])) == 1
    assert found.drop > 0.0


@pytest.mark.parametrize("fusion", ["concat", "mid_concat"])
def test_a_run_that_is_cut_off_ends_with_the_same_bits(make_run_dir, fusion):
    spec = masked(epochs=3, dropout=0.3, model={"fusion": fusion})
    whole = make_run_dir(spec, "whole")
    assert drive(whole, never) == EXIT_DONE
    earlier = []
    for attempt in range(20):
        calls = iter([False] * 9 + [True] * 10_000)
        run_dir = make_run_dir(spec, f"attempt{attempt}", resume_from=earlier)
        if drive(run_dir, lambda calls=calls: next(calls)) == EXIT_DONE:
            break
        earlier = [run_dir]
    assert attempt >= 3
    assert outcome(run_dir) == outcome(whole)


def test_an_estimate_apart_is_that_of_one_pass_for_all(make_run_dir):
    """Bit for bit, though a process for one head sees the batches of that modality alone."""
    blending = {"strategy": "offline", "estimator": {"type": "exact"}}
    spec = masked(blending, epochs=2, dropout=0.3)
    together = make_run_dir(spec, "together")
    assert drive(together, never) == EXIT_DONE
    files = []
    for head in spec.head_names:
        run_dir = make_run_dir(spec, f"e-{head}")
        request = json.loads((run_dir / "spec.json").read_text()) | {"head": head}
        (run_dir / "spec.json").write_text(json.dumps(request))
        assert drive(run_dir, never) == EXIT_DONE
        files.append(str(run_dir / "estimate.safetensors"))
    apart = make_run_dir(spec, "apart")
    request = json.loads((apart / "spec.json").read_text()) | {"estimates": files}
    (apart / "spec.json").write_text(json.dumps(request))
    assert drive(apart, never) == EXIT_DONE
    assert outcome(apart)[1] == outcome(together)[1]


def test_a_head_alone_equals_its_part_of_an_ensemble(train):
    """Bit for bit, as without masks."""
    together, _ = train(masked({"strategy": "ensemble"}, epochs=2))
    alone, _ = train(masked({"strategy": "unimodal", "modality": "clean"}, epochs=2))
    for name, value in alone.model.state_dict().items():
        assert torch.equal(together.model.state_dict()[name], value), name
