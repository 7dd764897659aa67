"""Who gets which rows, and what two real processes make of it together."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from core.errors import GblendError
from core.training.batches import Batch, InOrder
from core.training.distributed import ALONE, Ranks, checksum
from core.training.launch import launch, verdict
from core.training.objective import Multiclass
from core.training.rng import RngStream
from core.training.rules.base import own_part

ROOT = Path(__file__).parents[3]
CPU = torch.device("cpu")
LOGITS = torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.5, -0.5]], requires_grad=True)
TARGETS = torch.tensor([0, 0, 1])


@pytest.mark.parametrize(("size", "count"), [(1, 5), (2, 4), (2, 5), (3, 2), (4, 1), (4, 11)])
def test_shares_of_a_batch_are_whole_disjoint_and_even(size, count):
    shares = [list(range(count))[Ranks(rank, size).share(count)] for rank in range(size)]
    assert [row for share in shares for row in share] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize(("size", "count"), [(1, 5), (2, 4), (2, 5), (3, 2), (4, 1), (4, 5)])
def test_places_are_equally_many_and_begin_with_every_row_in_order(size, count):
    places = [Ranks(rank, size).places(count) for rank in range(size)]
    assert len({len(each) for each in places}) == 1
    laid = np.concatenate(places)
    assert laid[:count].tolist() == list(range(count))
    assert set(laid[count:].tolist()) <= {count - 1}


def test_alone_nothing_is_exchanged():
    tensor = torch.tensor([1.0, 2.0])
    ALONE.sum_([tensor])
    ALONE.take_first_([tensor])
    ALONE.agree("nothing", 7)
    assert tensor.tolist() == [1.0, 2.0]
    assert ALONE.gather(tensor, 2) is tensor
    assert (ALONE.any(True), ALONE.any(False)) == (True, False)


def test_the_parts_of_a_loss_sum_to_the_mean_over_the_whole_batch():
    # Of three rows one process has two, the next one, a third none at all.
    parts = []
    for rank in range(3):
        rows = slice(*[(0, 2), (2, 3), (3, 3)][rank])
        batch = Batch({}, TARGETS[rows], whole=3, ranks=Ranks(rank, 3))
        parts.append(own_part(Multiclass(), LOGITS[rows], batch))
    whole = Multiclass().loss(LOGITS, TARGETS)
    assert sum(parts).item() == pytest.approx(whole.item(), rel=1e-6)
    (expected,) = torch.autograd.grad(whole, LOGITS)
    (found,) = torch.autograd.grad(sum(parts), LOGITS)
    assert torch.allclose(found, expected, rtol=1e-6)


def test_a_process_without_a_row_still_has_gradients():
    weight = torch.ones(2, 2, requires_grad=True)
    empty = Batch({}, TARGETS[:0], whole=1, ranks=Ranks(1, 2))
    own_part(Multiclass(), torch.empty(0, 2) @ weight, empty).backward()
    assert weight.grad.tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_a_batch_counts_the_rows_of_all():
    batch = Batch({}, TARGETS[:2], whole=8)
    assert (len(batch), batch.total, batch.share) == (2, 8, 0.25)
    assert (Batch({}, TARGETS).total, Batch({}, TARGETS).share) == (3, 1.0)


def test_alone_what_was_computed_is_put_together_as_it_is():
    assert InOrder([]).together([torch.tensor([1.0]), torch.tensor([2.0, 3.0])]).tolist() == [1.0, 2.0, 3.0]


def draws(stream):
    with stream.active():
        return torch.rand(3).tolist()


def test_every_process_has_a_stream_of_its_own_and_the_first_that_of_one_alone():
    alone, first, second = (RngStream(7, CPU, ranks) for ranks in (ALONE, Ranks(0, 2), Ranks(1, 2)))
    expected = draws(alone)
    assert draws(first) == expected
    assert draws(second) != expected


def test_a_process_that_the_checkpoint_does_not_know_begins_a_stream_that_follows_from_it():
    saved = RngStream(7, CPU).tensors()
    one, other = RngStream(1, CPU, Ranks(1, 2)), RngStream(2, CPU, Ranks(1, 2))
    one.load(saved)
    other.load(saved)
    follows = draws(one)
    assert draws(other) == follows
    assert draws(RngStream(7, CPU)) != follows


def test_a_checksum_tells_a_single_bit():
    tensor = torch.tensor([1.0, 2.0, 3.0])
    other = tensor.clone()
    assert checksum([tensor]) == checksum([other])
    other[1] = torch.nextafter(other[1], torch.tensor(9.0))
    assert checksum([tensor]) != checksum([other])
    assert checksum([tensor, other]) != checksum([other, tensor])


@pytest.mark.parametrize(
    ("codes", "told"),
    [
        ({0: os.EX_TEMPFAIL, 1: os.EX_TEMPFAIL}, os.EX_TEMPFAIL),
        ({0: os.EX_DATAERR, 1: -signal.SIGTERM}, os.EX_DATAERR),
        ({0: -signal.SIGTERM, 1: os.EX_TEMPFAIL}, os.EX_TEMPFAIL),
        ({0: -signal.SIGTERM, 1: os.EX_IOERR}, os.EX_IOERR),
        ({0: 1, 1: -signal.SIGKILL}, -signal.SIGKILL),
        ({0: -signal.SIGKILL, 1: 1}, -signal.SIGKILL),
        ({0: -signal.SIGTERM, 1: 1}, 1),
        ({1: os.EX_DATAERR, 0: 1}, 1),
        ({0: -signal.SIGTERM, 1: -signal.SIGTERM}, -signal.SIGTERM),
        ({0: os.EX_IOERR, 1: -signal.SIGTERM}, os.EX_IOERR),
        ({0: os.EX_TEMPFAIL, 1: os.EX_IOERR}, os.EX_IOERR),
        ({0: 1, 1: os.EX_IOERR}, os.EX_IOERR),
        ({0: -signal.SIGKILL, 1: os.EX_IOERR}, -signal.SIGKILL),
    ],
)
def test_how_several_processes_ended(codes, told):
    assert verdict(codes) == told


def test_a_stop_before_anything_was_started(tmp_path):
    handler = signal.getsignal(signal.SIGTERM)
    try:
        assert launch(tmp_path, 2, lambda: True) == os.EX_TEMPFAIL
    finally:
        signal.signal(signal.SIGTERM, handler)
    assert list(tmp_path.iterdir()) == []


def test_processes_of_another_machine_are_refused(tmp_path, monkeypatch):
    for name, value in {"RANK": "0", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(GblendError, match="one machine"):
        Ranks.join(tmp_path)


TWO = """
import sys
from pathlib import Path
import torch
from core.training.distributed import DivergedError, Ranks
ranks = Ranks.join(Path(sys.argv[1]))
mine = ranks.rank + 1.0
one, other = torch.tensor([mine, 10 * mine]), torch.tensor([[100 * mine]])
ranks.sum_([one, other])
assert (one.tolist(), other.tolist()) == ([3.0, 30.0], [[300.0]])
ranks.take_first_([first := torch.tensor([mine])])
assert first.tolist() == [1.0]
rows = torch.arange(5.0)[torch.from_numpy(ranks.places(5))]
assert ranks.gather(rows, 5).tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
assert [int(each) for each in ranks.of_all(torch.tensor(ranks.rank))] == [0, 1]
assert (ranks.any(ranks.rank == 1), ranks.any(False)) == (True, False)
ranks.agree("this", 2**62)
try:
    ranks.agree("that", ranks.rank)
except DivergedError as error:
    assert "disagree on that" in error.detail
else:
    raise AssertionError("they disagree")
ranks.leave()
"""


def test_two_processes_sum_gather_and_agree(tmp_path):
    environment = os.environ | {"WORLD_SIZE": "2", "PYTHONPATH": str(ROOT)}
    pair = [
        subprocess.Popen(
            [sys.executable, "-c", TWO, str(tmp_path)],
            env=environment | {"RANK": str(rank)},
            stderr=subprocess.PIPE,
        )
        for rank in range(2)
    ]
    told = [child.communicate(timeout=120)[1].decode() for child in pair]
    assert [child.returncode for child in pair] == [0, 0], told
