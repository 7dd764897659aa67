"""Several processes that train one job together, each with a device of its own: data parallelism by hand.

Every process holds the whole model, and all of them go through the same lines. Of each batch a process takes its share
of the rows; its loss is its part of the mean over the *whole* batch, and gradients are summed before anybody steps, so
that every replica takes the same step. What is measured is measured in shares, too, and put together in the order of
the rows, so that G, O, their errors and every decision that follows are those of one process, up to the rounding of
float32 sums. torch's DistributedDataParallel would not do: it allows one backward per step, and the rules have several,
decide by gradients, and are differentiated forward.

torchrun starts the processes of one machine (`core.training.launch`) and says by its environment variables who is who;
those of several machines meet by `core.training.nodes`.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor
from torch.distributed import FileStore, Store, TCPStore  # type: ignore[attr-defined] # the stubs do not export it

from core.errors import GblendError
from core.training.nodes import Nodes, interface_of, meet

_PATIENCE = timedelta(hours=1)
"""How long one process waits for the others in one exchange. Longer than any of them prepares data or writes files; one
that hangs is found earlier, by the supervisor's watchdog."""
_FAREWELL = timedelta(seconds=30)
"""How long a process waits, at its own end, for the first one to have written how the run ended."""


class DivergedError(GblendError):
    """Replicas that must be equal are not. A retry goes on from the last checkpoint, where they were."""


class Ranks:
    """This process among those that train a job, numbered from 0. By default it is alone, and every method is free.

    Every method but `share` and `places` must be called by all processes, in the same order.
    """

    def __init__(self, rank: int = 0, size: int = 1, store: Store | None = None, *, nodes: int = 1) -> None:
        self.rank = rank
        self.size = size
        self.nodes = nodes
        """Machines, each with as many of the processes."""
        self._store = store

    @classmethod
    def join(cls, run_dir: Path, nodes: Nodes | None = None) -> Ranks:
        """Meets the processes that torchrun has started with this one, and those of the job's other machines; alone
        where there are none.

        Those of one machine meet in a file of the run directory, and talk over loopback: nothing listens on a network.
        Raises `NodesMissingError` where other machines do not come.
        """
        local = int(os.environ.get("WORLD_SIZE", "1"))
        if local == 1 and nodes is None:
            return cls()
        if int(os.environ.get("LOCAL_WORLD_SIZE", local)) != local:
            raise GblendError("torchrun starts the processes of one machine", code="training.several_machines")
        rank, size, count = int(os.environ.get("RANK", "0")), local, 1
        store: Store
        if nodes is None:
            interface: str | None = _loopback()
            store = FileStore(str(run_dir / f".ranks.{os.environ.get('TORCHELASTIC_RUN_ID', 'none')}"), size)
        else:
            interface = interface_of(nodes.address)
            count, rank, size = nodes.count, nodes.number * local + rank, nodes.count * local
            store = meet(run_dir, nodes, rank=rank, size=size)
        for variable in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME") if interface else ():
            os.environ.setdefault(variable, interface or "")
        own_gpus = dist.is_nccl_available() and torch.cuda.device_count() >= local
        backend = "cpu:gloo,cuda:nccl" if own_gpus else "gloo"
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=_PATIENCE)
        return cls(rank, size, store, nodes=count)

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes: journal, checkpoints and artifacts."""
        return self.rank == 0

    @property
    def local_rank(self) -> int:
        """The number of this process among those of its machine; 0 writes how far it is."""
        return self.rank % (self.size // self.nodes)

    @property
    def is_alone(self) -> bool:
        """Whether there is no other."""
        return self.size == 1

    def share(self, count: int) -> slice:
        """The rows of a batch of `count` that this process trains on; shares differ by one row at most, and may be
        empty."""
        each, more = divmod(count, self.size)
        start = self.rank * each + min(self.rank, more)
        return slice(start, start + each + (self.rank < more))

    def places(self, count: int) -> NDArray[np.int64]:
        """The places, of `count` >= 1, that this process looks at: as many as any other, at least one.

        Laid end to end in the order of the processes they begin with 0 .. count - 1; the last place is then looked at
        again by whoever has nothing else to do.
        """
        each = -(-count // self.size)
        return np.minimum(self.rank * each + np.arange(each), count - 1).astype(np.int64)

    def gather(self, own: Tensor, count: int) -> Tensor:
        """`[count, ...]` from what each process has for its `places` of `count`."""
        if self.is_alone:
            return own
        parts = [torch.empty_like(own) for _ in range(self.size)]
        dist.all_gather(parts, own.contiguous())
        return torch.cat(parts)[:count]

    def sum_(self, tensors: Sequence[Tensor]) -> None:
        """Replaces tensors of one type by their sums over all processes, in one exchange; every process gets the same
        bits."""
        if self.is_alone or not tensors:
            return
        flat = torch.cat([tensor.detach().reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        _put_back(tensors, flat)

    def take_first_(self, tensors: Sequence[Tensor]) -> None:
        """Replaces tensors of one type by those of the first process."""
        if self.is_alone or not tensors:
            return
        flat = torch.cat([tensor.detach().reshape(-1) for tensor in tensors])
        dist.broadcast(flat, src=0)
        _put_back(tensors, flat)

    def of_all(self, own: Tensor) -> list[Tensor]:
        """What each process has, in their order; tensors of one shape and type."""
        if self.is_alone:
            return [own]
        parts = [torch.empty_like(own) for _ in range(self.size)]
        dist.all_gather(parts, own.contiguous())
        return parts

    def from_first(self, content: bytes) -> bytes:
        """What the first process has, whatever the others give."""
        if self.is_alone:
            return content
        length = torch.tensor(len(content), dtype=torch.int64)
        dist.broadcast(length, src=0)
        flat = torch.frombuffer(bytearray(content), dtype=torch.uint8) if self.is_first and content else None
        flat = torch.empty(int(length), dtype=torch.uint8) if flat is None else flat
        if len(flat):
            dist.broadcast(flat, src=0)
        return flat.numpy().tobytes()

    def any(self, flag: bool) -> bool:
        """Whether it is so in any process."""
        if self.is_alone:
            return flag
        count = torch.tensor(int(flag))
        dist.all_reduce(count)
        return bool(count)

    def agree(self, what: str, value: int) -> None:
        """Raises `DivergedError` in every process unless all have the same 64-bit `value`."""
        if len({int(found) for found in self.of_all(torch.tensor(value, dtype=torch.int64))}) > 1:
            raise DivergedError(f"the processes of this job disagree on {what}", code="training.ranks_diverged")

    def leave(self) -> None:
        """The run has ended in good order. Nobody goes before the first process has written how: torchrun ends all of
        them when one ends badly."""
        if self._store is None:
            return
        if self.is_first:
            self._store.set("ended", "")
            if isinstance(self._store, TCPStore):
                self._wait_until_heard(self._store)
        else:
            self._store.wait(["ended"], _FAREWELL)
            self._store.add("heard", 1)
        dist.destroy_process_group()

    def _wait_until_heard(self, store: TCPStore) -> None:
        """This process holds the store: it must not go before the others have read in it that they may."""
        until = time.monotonic() + _FAREWELL.total_seconds()
        while store.add("heard", 0) < self.size - 1 and time.monotonic() < until:
            time.sleep(0.05)


ALONE = Ranks()


def checksum(tensors: Sequence[Tensor]) -> int:
    """63 bits that two lists of tensors (of 4 or 8 bytes a number) share if they are equal bit for bit, and hardly ever
    otherwise."""
    found = 0
    for tensor in tensors:
        words = tensor.detach().contiguous().reshape(-1).view(torch.int32)
        found = (found * 1_000_003 + int(words.sum(dtype=torch.int64))) % 2**63
    return found


def _put_back(tensors: Sequence[Tensor], flat: Tensor) -> None:
    with torch.no_grad():
        for tensor, part in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))


def _loopback() -> str:
    """The name of the loopback interface: `lo`, or `lo0`."""
    return next((name for _, name in socket.if_nameindex() if name in ("lo", "lo0")), "lo")
