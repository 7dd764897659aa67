"""Variations of training batches: literal images, spectrograms and series; what is drawn depends on what; who sees it.

(That a run is resumed to the same bits, and that two processes train on what one would: tests/integration/training.)
"""

import numpy as np
import pytest
import torch

from core.data.dataset import prepare
from core.spec import JobSpec
from core.spec.augmentation import AudioAugment, ImageAugment, TimeseriesAugment
from core.training.augment import Augmentation, Draws, augmented, mirrored, moved, rotated, stretches
from core.training.batches import Batches
from core.training.distributed import Ranks
from tests.tiny import tiny_augmented_spec, write_tiny_masked
from tests.unit.training.conftest import CPU

SHAPES = {"image": (3, 12, 10), "audio": (1, 20, 50), "timeseries": (40, 2)}
EVERYTHING = {
    "image": ImageAugment(flip=True, shift=0.2, rotate=30.0, erase=0.3, brightness=0.5, contrast=0.5),
    "audio": AudioAugment(time_masks=2, time_width=0.2, frequency_masks=1, frequency_width=0.25, shift=0.1),
    "timeseries": TimeseriesAugment(jitter=0.1, scale=0.1, time_masks=1, time_width=0.2, shift=0.3),
}
KINDS = list(SHAPES)


def samples(kind, rows=8, seed=0):
    """Values of which none is 0."""
    return 1.0 + torch.rand((rows, *SHAPES[kind]), generator=torch.Generator().manual_seed(seed))


def draws(rows, seed=0):
    return Draws(seed, rows, slice(0, rows))


def varied(augment, x, seed=0):
    return augmented(x, augment, draws(len(x), seed))


def runs_of_zeros(row):
    """Lengths of the stretches of zeros in a vector."""
    marks = "".join("0" if value == 0.0 else "1" for value in row.tolist())
    return [len(each) for each in marks.split("1") if each]


# What is off


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_off_gives_the_very_same_tensor(kind):
    x = samples(kind)
    augment = type(EVERYTHING[kind])()
    assert augmented(x, augment, draws(8)) is x
    off = Augmentation({kind: augment})
    assert not off
    assert off({kind: x}, seed=1, rows=8, own=slice(0, 8))[kind] is x


def test_widths_alone_mask_nothing():
    x = samples("audio")
    assert varied(AudioAugment(time_width=0.5, frequency_width=0.5), x) is x


@pytest.mark.parametrize("kind", KINDS)
def test_no_variation_changes_what_it_was_given(kind):
    x = samples(kind)
    kept = x.clone()
    found = varied(EVERYTHING[kind], x)
    assert torch.equal(x, kept)
    assert found.shape == x.shape
    assert found.dtype == torch.float32
    assert not torch.equal(found, x)


# By hand


def test_a_mirror():
    x = torch.tensor([[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]] * 2)
    found = mirrored(x, torch.tensor([True, False]))
    assert found[0].tolist() == [[[3.0, 2.0, 1.0], [6.0, 5.0, 4.0]]]
    assert found[1].tolist() == x[1].tolist()


def test_a_flip_mirrors_half_of_the_images_exactly():
    x = samples("image", rows=2000)
    found = varied(ImageAugment(flip=True), x)
    flipped = (found == x.flip(-1)).flatten(1).all(1)
    kept = (found == x).flatten(1).all(1)
    assert bool((flipped ^ kept).all())
    assert 900 < int(flipped.sum()) < 1100


@pytest.mark.parametrize(
    ("by", "around", "wanted"),
    [
        (1, True, [4.0, 1.0, 2.0, 3.0]),
        (-1, True, [2.0, 3.0, 4.0, 1.0]),
        (1, False, [0.0, 1.0, 2.0, 3.0]),
        (-2, False, [3.0, 4.0, 0.0, 0.0]),
        (0, False, [1.0, 2.0, 3.0, 4.0]),
    ],
)
def test_a_move(by, around, wanted):
    x = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    assert moved(x, torch.tensor([by]), 1, around=around).tolist() == [wanted]
    along_the_middle = moved(x[:, :, None], torch.tensor([by]), 1, around=around)
    assert along_the_middle[0, :, 0].tolist() == wanted


def test_a_quarter_turn_is_counter_clockwise_and_exact_up_to_rounding():
    x = torch.arange(1.0, 17.0).reshape(1, 1, 4, 4)
    turned = rotated(x, torch.tensor([90.0], dtype=torch.float64))
    assert torch.allclose(turned, x.rot90(1, (2, 3)), atol=1e-5)
    assert torch.allclose(rotated(x, torch.tensor([0.0])), x, atol=1e-5)


def test_a_long_image_is_turned_without_being_stretched():
    """A bar along the middle row of 3 x 7 comes to stand in the middle column."""
    x = torch.zeros(1, 1, 3, 7)
    x[0, 0, 1] = 1.0
    turned = rotated(x, torch.tensor([90.0]))
    wanted = torch.zeros(3, 7)
    wanted[:, 3] = 1.0
    assert torch.allclose(turned[0, 0], wanted, atol=1e-5)


def test_stretches_have_their_widths_and_fit():
    widths = torch.tensor([[0, 2], [3, 5], [5, 0]])
    places = torch.tensor([[0.5, 0.999], [0.0, 0.7], [0.3, 0.3]], dtype=torch.float64)
    assert stretches(widths, places, 5).int().tolist() == [[0, 0, 0, 1, 1], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1]]
    assert stretches(widths[:1], places[:1] * 0, 5).int().tolist() == [[1, 1, 0, 0, 0]]


# By their numbers


@pytest.mark.parametrize(("count", "fraction", "most"), [(1, 0.2, 10), (1, 0.001, 1), (2, 0.1, 5)])
def test_time_masks_are_as_many_and_as_wide_as_asked_for(count, fraction, most):
    found = varied(AudioAugment(time_masks=count, time_width=fraction), samples("audio", rows=1000))
    empty = found == 0.0
    assert torch.equal(empty.all(dim=2), empty.any(dim=2))  # every band, or none
    lengths = [runs_of_zeros(row) for row in found[:, 0, 0]]
    assert max(map(len, lengths)) == count
    assert max(map(sum, lengths)) == most * count
    if count == 1:
        widths = [sum(each) for each in lengths]
        assert set(widths) == set(range(most + 1))
        assert np.mean(widths) == pytest.approx(most / 2, abs=0.35)


def test_frequency_masks_take_whole_bands():
    found = varied(AudioAugment(frequency_masks=1, frequency_width=0.25), samples("audio", rows=500))
    empty = found == 0.0
    assert torch.equal(empty.all(dim=3), empty.any(dim=3))
    assert {sum(runs_of_zeros(row)) for row in found[:, 0, :, 0]} == {0, 1, 2, 3, 4, 5}


def test_masks_are_anywhere():
    empty = varied(TimeseriesAugment(time_masks=1, time_width=0.1), samples("timeseries", rows=2000)) == 0.0
    hit = empty[:, :, 0].float().mean(0)
    assert bool((hit > 0.01).all())
    assert bool((hit < 0.1).all())
    assert torch.equal(empty[:, :, 0], empty[:, :, 1])


def test_what_is_shifted_is_whole_and_at_most_so_far():
    x = torch.arange(1.0, 41.0)[None, :, None].expand(500, 40, 2)
    found = varied(TimeseriesAugment(shift=0.25), x)
    by = {int(row[0, 0]) - 1 for row in found}
    assert {(each + 20) % 40 - 20 for each in by} == set(range(-10, 11))
    assert bool((found.sum(1) == 820.0).all())


def test_an_image_is_shifted_both_ways_and_the_mean_comes_in():
    x = torch.ones(1000, 1, 10, 20)
    found = varied(ImageAugment(shift=0.2), x)
    rows, columns = 10 - found.amax(3).sum(2), 20 - found.amax(2).sum(2)
    assert set(rows.flatten().tolist()) == {0.0, 1.0, 2.0}
    assert set(columns.flatten().tolist()) == {0.0, 1.0, 2.0, 3.0, 4.0}
    assert set(found.unique().tolist()) == {0.0, 1.0}


def test_a_rectangle_is_erased_in_every_channel():
    found = varied(ImageAugment(erase=0.25), torch.ones(2000, 3, 20, 20))
    empty = found == 0.0
    assert torch.equal(empty.all(dim=1), empty.any(dim=1))
    height, width = empty[:, 0].any(2).sum(1), empty[:, 0].any(1).sum(1)
    area = empty[:, 0].sum(dim=(1, 2))
    assert torch.equal(area, height * width)
    assert 0.25 * 400 <= int(area.max()) <= 0.25 * 400 * 1.12  # sides are rounded to whole pixels
    assert area.double().mean().item() == pytest.approx(0.125 * 400, rel=0.05)


def test_brightness_is_one_number_per_image():
    x = samples("image", rows=3000)
    added = (varied(ImageAugment(brightness=0.5), x) - x).flatten(1)
    assert bool((added.amax(1) - added.amin(1) < 1e-6).all())
    assert added[:, 0].min().item() == pytest.approx(-0.5, abs=0.01)
    assert added[:, 0].max().item() == pytest.approx(0.5, abs=0.01)


def test_contrast_keeps_an_images_mean():
    x = samples("image", rows=3000)
    found = varied(ImageAugment(contrast=0.5), x)
    assert torch.allclose(found.mean(dim=(2, 3)), x.mean(dim=(2, 3)), atol=1e-5)
    factor = found.std(dim=(2, 3)) / x.std(dim=(2, 3))
    assert torch.allclose(factor, factor[:, :1].expand_as(factor), atol=1e-4)
    assert (factor.min().item(), factor.max().item()) == pytest.approx((0.5, 1.5), abs=0.01)


def test_jitter_has_its_standard_deviation_and_leaves_padding():
    x = samples("timeseries", rows=2000)
    x[:, 30:] = 0.0
    x[:, 0, 1] = 0.0  # a 0 in one channel alone is a value like any other
    noise = varied(TimeseriesAugment(jitter=0.3), x) - x
    assert bool((noise[:, 30:] == 0.0).all())
    assert noise[:, :30].std().item() == pytest.approx(0.3, rel=0.01)
    assert noise[:, :30].mean().item() == pytest.approx(0.0, abs=0.005)
    assert bool((noise[:, 0, 1] != 0.0).any())


def test_every_channel_is_scaled_by_a_factor_of_its_own():
    x = samples("timeseries", rows=4000)
    factor = varied(TimeseriesAugment(scale=0.2), x) / x
    assert torch.allclose(factor, factor[:, :1].expand_as(factor), atol=1e-5)
    assert factor[:, 0].std().item() == pytest.approx(0.2, rel=0.05)
    assert factor[:, 0].mean().item() == pytest.approx(1.0, abs=0.01)
    assert torch.corrcoef(factor[:, 0].T)[0, 1].abs().item() < 0.05


# What is drawn depends on the seed, the batch and the name


@pytest.mark.parametrize("kind", KINDS)
def test_samples_of_a_batch_are_varied_apart(kind):
    x = samples(kind, rows=1).expand(6, *SHAPES[kind])
    found = varied(EVERYTHING[kind], x)
    assert len({tuple(row.flatten().tolist()) for row in found}) == 6


@pytest.mark.parametrize("kind", KINDS)
def test_several_processes_have_the_rows_of_one(kind):
    augmentation = Augmentation({kind: EVERYTHING[kind]})
    x = samples(kind, rows=7)
    whole = augmentation({kind: x}, seed=5, rows=7, own=slice(0, 7))[kind]
    parts = []
    for rank in range(3):
        own = Ranks(rank, 3).share(7)
        parts.append(augmentation({kind: x[own]}, seed=5, rows=7, own=own)[kind])
    assert torch.equal(torch.cat(parts), whole)
    nothing = augmentation({kind: x[:0]}, seed=5, rows=2, own=slice(2, 2))[kind]
    assert nothing.shape == (0, *SHAPES[kind])


def test_a_modality_is_varied_alike_with_and_without_others_and_no_other_stream_moves():
    both = Augmentation({"a": EVERYTHING["image"], "b": EVERYTHING["image"]})
    x = samples("image")
    state = torch.get_rng_state()
    found = both({"a": x, "b": x}, seed=5, rows=8, own=slice(0, 8))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(both({"b": x}, seed=5, rows=8, own=slice(0, 8))["b"], found["b"])
    assert not torch.equal(found["a"], found["b"])
    assert not torch.equal(both({"b": x}, seed=6, rows=8, own=slice(0, 8))["b"], found["b"])


def test_a_sample_that_lacks_the_modality_is_left_alone():
    augmentation = Augmentation({"a": ImageAugment(brightness=1.0)})
    x = torch.zeros(4, 3, 12, 10)
    inputs = {"a": x, "a:present": torch.tensor([1.0, 0.0, 1.0, 0.0]), "b": x}
    found = augmentation(inputs, seed=5, rows=4, own=slice(0, 4))
    assert found["a"].flatten(1).any(1).tolist() == [True, False, True, False]
    assert found["b"] is x
    assert found["a:present"] is inputs["a:present"]


# Batches of real data


@pytest.fixture(scope="module")
def masked_roots(tmp_path_factory):
    folder = tmp_path_factory.mktemp("masked")
    write_tiny_masked(folder)
    return {"data": folder}


def spec_of(*arguments, **parts):
    return JobSpec.model_validate(tiny_augmented_spec(*arguments, **parts))


def batches_of(roots, size=16, ranks=None, **parts):
    spec = spec_of(**parts)
    data = prepare(spec, roots)
    return data, Batches(data, CPU, size, ranks or Ranks(), Augmentation.of(spec.dataset))


def test_a_pass_depends_on_its_seed_and_goes_on_in_its_middle(roots):
    data, batches = batches_of(roots)
    rows = data.split.train
    whole = [batch.inputs["noisy"] for batch in batches.shuffled(rows, 7)]
    assert len(whole) == 6
    for done in (1, 4):
        rest = [batch.inputs["noisy"] for batch in batches.shuffled(rows, 7, done)]
        assert [torch.equal(*pair) for pair in zip(rest, whole[done:], strict=True)] == [True] * (6 - done)


def test_every_batch_and_every_pass_draws_anew(roots):
    """The noise alone: what is varied differs between batches anyway."""
    data, batches = batches_of(roots, augment={"jitter": 0.5})
    _, plain = batches_of(roots, augment={})
    rows, noise = data.split.train, []
    for seed in (7, 8):
        pairs = zip(batches.shuffled(rows, seed), plain.shuffled(rows, seed), strict=True)
        noise.append([found.inputs["noisy"] - bare.inputs["noisy"] for found, bare in pairs])
    assert noise[0][0].std().item() == pytest.approx(0.5, rel=0.15)
    assert (noise[0][0] - noise[0][1]).abs().mean().item() > 0.3
    assert (noise[0][0] - noise[1][0]).abs().mean().item() > 0.3


@pytest.mark.parametrize("masked", [False, True])
def test_processes_share_a_batch_of_real_data(roots, masked_roots, masked):
    place = masked_roots if masked else roots
    data, batches = batches_of(place, masked=masked)
    rows = data.split.train
    shares = [batches_of(place, ranks=Ranks(rank, 2), masked=masked)[1].shuffled(rows, 7) for rank in range(2)]
    for whole, *parts in zip(batches.shuffled(rows, 7), *shares, strict=True):
        for entry, values in whole.inputs.items():
            assert torch.equal(torch.cat([part.inputs[entry] for part in parts]), values), entry
        if masked:
            gone = whole.inputs["clean:present"] == 0.0
            assert bool(gone.any())
            assert not bool(whole.inputs["clean"][gone].any())


def test_what_is_measured_is_not_varied(roots):
    data, batches = batches_of(roots)
    _, plain = batches_of(roots, augment={})
    for part in data.split.as_dict().values():
        for found, bare in zip(batches.in_order(part), plain.in_order(part), strict=True):
            assert torch.equal(found.inputs["noisy"], bare.inputs["noisy"])


@pytest.fixture
def counted(monkeypatch):
    """How many batches have been augmented so far."""
    calls = []
    real = Augmentation.__call__

    def count(self, inputs, **how):
        calls.append(how["rows"])
        return real(self, inputs, **how)

    monkeypatch.setattr(Augmentation, "__call__", count)
    return calls


def test_measuring_twice_gives_the_same_losses_and_augments_nothing(open_session, counted):
    session = open_session(spec_of())
    plain = open_session(spec_of(augment={}))
    rows = session.data.split.train
    one, two, bare = (
        each.measure(rows, session.heads, average=False)["fused"].losses for each in (session, session, plain)
    )
    assert one.tolist() == two.tolist() == bare.tolist()
    assert counted == []


ESTIMATORS = {"exact": 2 * 6, "gradient": 1, "trajectory": 0}
"""Batches on which copies take steps before a super-epoch of two epochs of six batches."""


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_exactly_the_optimisation_steps_through_encoders_are_augmented(train, counted, estimator):
    """The fine-tune trains on frozen features, which are those of the samples as they are."""
    settings = {"type": estimator} | ({"steps": 1} if estimator == "gradient" else {})
    blending = {"strategy": "online", "super_epochs": {"first": 2, "later": 2}, "estimator": settings}
    session, events = train(spec_of(blending, epochs=4, diagnostics={"forgetting": True}))
    trained, alone = 4 * 6, 4 * 6
    assert len(counted) == trained + alone + 2 * ESTIMATORS[estimator]
    assert session.counters.fine_tune_epoch == 2
    assert events[-1].type == "run.completed"


def test_without_augmentation_none_is_called(train, counted):
    train(spec_of({"strategy": "naive"}, epochs=1, augment={}))
    assert counted == []


@pytest.mark.parametrize("strategy", ["naive", "ogm_ge", "mmpareto", "uncertainty", "ensemble"])
def test_augmentation_changes_what_is_learnt_and_not_how_that_is_measured(train, open_session, strategy):
    varied_run, _ = train(spec_of({"strategy": strategy}, epochs=1))
    plain_run, _ = train(spec_of({"strategy": strategy}, epochs=1, augment={}))
    pairs = zip(varied_run.model.state_dict().values(), plain_run.model.state_dict().values(), strict=True)
    assert not all(torch.equal(one, two) for one, two in pairs)
    # The same parameters are measured alike, whatever the job says of augmentation.
    plain_run.model.load_state_dict(varied_run.model.state_dict())
    rows = varied_run.data.split.holdout
    head = varied_run.heads[0]
    assert np.array_equal(
        varied_run.measure(rows, [head], average=False)[head].losses,
        plain_run.measure(rows, [head], average=False)[head].losses,
    )


def test_a_head_alone_equals_its_part_of_an_ensemble(train):
    together, _ = train(spec_of({"strategy": "ensemble"}, epochs=2))
    alone, _ = train(spec_of({"strategy": "unimodal", "modality": "clean"}, epochs=2))
    for name, value in alone.model.state_dict().items():
        assert torch.equal(together.model.state_dict()[name], value), name
