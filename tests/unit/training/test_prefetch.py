"""Batches that are made ahead: the same ones in the same order, and no thread is left behind."""

import threading
from itertools import count

import numpy as np
import pytest
import torch

from core.training.batches import Batches
from core.training.prefetch import prefetched


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "prefetch"]


def test_the_same_items_in_the_same_order():
    assert list(prefetched(iter(range(100)))) == list(range(100))
    assert list(prefetched(iter([]))) == []
    assert list(prefetched(iter([None, ValueError, None]))) == [None, ValueError, None]
    assert threads() == []


def test_one_is_ready_and_one_in_the_making():
    made = []
    third = threading.Event()

    def making():
        for number in count():
            made.append(number)
            if number == 2:
                third.set()
            yield number

    ahead = prefetched(making())
    assert made == []  # nothing begins before the first is asked for
    assert next(ahead) == 0
    assert third.wait(30)  # 1 is ready; 2 is made, and there is no room for it
    assert made == [0, 1, 2]
    ahead.close()
    assert threads() == []


def test_items_are_made_by_another_thread_while_one_is_worked_on():
    begun, by = threading.Event(), set()

    def making():
        yield "first"
        by.add(threading.current_thread().name)
        begun.set()
        yield "second"

    found = []
    for item in prefetched(making()):
        assert begun.wait(30)  # while this thread has the first
        found.append(item)
    assert (found, by) == (["first", "second"], {"prefetch"})


def test_what_is_raised_comes_in_its_place():
    def failing():
        yield 1
        yield 2
        raise OSError("the disk is gone")

    found = []
    with pytest.raises(OSError, match="the disk is gone"):
        found += list(map(found.append, prefetched(failing())))
    assert found == [1, 2]
    assert threads() == []


class EnoughError(Exception):
    pass


def test_whoever_takes_no_more_ends_the_thread():
    def consume():
        for item in prefetched(count()):
            if item == 5:
                raise EnoughError

    with pytest.raises(EnoughError):
        consume()
    assert threads() == []


def test_on_the_cpu_nothing_is_made_ahead(open_session, make_spec):
    session = open_session(make_spec())
    batches = session.batches.shuffled(session.data.split.train, 3)
    next(batches)
    next(iter(session.batches.in_order(session.data.split.train)))
    assert threads() == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_batches_for_a_cuda_device_are_those_of_the_cpu(open_session, make_spec):
    session = open_session(make_spec())
    rows = session.data.split.train
    ahead = Batches(session.data, torch.device("cuda"), 16)
    for found, wanted in (
        (list(ahead.shuffled(rows, 3, 1)), list(Batches(session.data, torch.device("cpu"), 16).shuffled(rows, 3, 1))),
        (list(ahead.in_order(rows)), list(session.batches.in_order(rows))),
    ):
        assert len(found) == len(wanted) > 0
        for one, other in zip(found, wanted, strict=True):
            assert one.targets.is_cuda
            assert np.array_equal(one.targets.cpu(), other.targets)
            for name, tensor in one.inputs.items():
                assert tensor.is_cuda
                assert torch.equal(tensor.cpu(), other.inputs[name])
    assert threads() == []
