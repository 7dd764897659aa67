"""The processes of one job on several machines find each other.

The first process of the first machine opens a store at a port of that machine's address and writes where into its run
directory; the engine tells the other machines (`core.jobs.nodes`), whose processes come to it. What they say to each
other is neither encrypted nor signed: the machines of such a job need a network of their own.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import struct
import sys
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from torch.distributed import DistError, TCPStore  # type: ignore[attr-defined] # the stubs do not export it

from core.errors import GblendError
from core.training.files import replace

MEETING = "meeting.json"
"""Where the others find the store: `{"endpoint": "address:port"}`, written by the first process."""
_LOOK = 0.1
_ANSWER = timedelta(seconds=30)
"""How long one question to the store may take."""
_SIOCGIFADDR = 0x8915


class NodesMissingError(GblendError):
    """The other machines did not come in time. Not a failure: the job waits for a better moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodes:
    """This machine among those that train a job."""

    count: int
    """Machines in all."""
    number: int
    """0-based; 0 is the one whose process writes."""
    address: str
    """Name or number by which the others reach this machine."""
    token: str
    """Of this attempt of the job: who has another one belongs to an earlier attempt."""
    patience: float
    """Seconds to wait for the others."""
    meeting: str | None
    """`address:port` of the store; `None` on the first machine, which opens it."""

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Nodes:
        """As in `spec.json`."""
        return cls(
            count=int(raw["count"]),
            number=int(raw["number"]),
            address=raw["address"],
            token=raw["token"],
            patience=float(raw["patience"]),
            meeting=raw.get("meeting"),
        )


def meet(run_dir: Path, nodes: Nodes, *, rank: int, size: int) -> TCPStore:
    """The store that all `size` processes of the job share, once all are there.

    Raises `NodesMissingError` where they are not within `nodes.patience` seconds, and where this machine comes to
    another attempt than its own.
    """
    deadline = time.monotonic() + nodes.patience
    store = _open(run_dir, nodes) if rank == 0 else _come(nodes.meeting or _told(run_dir, deadline))
    if store.get("token").decode() != nodes.token:
        raise NodesMissingError("another attempt of this job is met there", code="training.nodes_missing")
    store.add("present", 1)
    while (present := store.add("present", 0)) < size:
        _wait(deadline, f"{present} of {size} processes of the job are there")
    return store


def interface_of(address: str) -> str | None:
    """The name of the network interface that has this address; `None` where that cannot be told."""
    if sys.platform != "linux":
        return None
    wanted = socket.gethostbyname(address)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            try:
                found = fcntl.ioctl(asking.fileno(), _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            except OSError:  # one without an address
                continue
            if socket.inet_ntoa(found[20:24]) == wanted:
                return name
    return None


def _open(run_dir: Path, nodes: Nodes) -> TCPStore:
    listening = socket.create_server((nodes.address, 0), backlog=128)
    port = listening.getsockname()[1]
    # The store closes the descriptor that it is given, so it is given one of its own.
    store = TCPStore(
        nodes.address,
        port,
        is_master=True,
        timeout=_ANSWER,
        wait_for_workers=False,
        master_listen_fd=os.dup(listening.fileno()),
    )
    listening.close()
    store.set("token", nodes.token)
    replace(run_dir / MEETING, json.dumps({"endpoint": f"{nodes.address}:{port}"}).encode())
    return store


def _come(endpoint: str) -> TCPStore:
    host, _, port = endpoint.rpartition(":")
    try:
        # A store that is not there is asked for a long time; one look tells.
        socket.create_connection((host, int(port)), timeout=_ANSWER.total_seconds()).close()
        return TCPStore(host, int(port), is_master=False, timeout=_ANSWER, wait_for_workers=False)
    except (OSError, DistError) as error:
        raise NodesMissingError(
            f"the first machine of the job does not answer at {endpoint}",
            code="training.nodes_missing",
            hint="let the workers' machines reach each other at any port, and set GBLEND_WORKER__ADDRESS on each",
        ) from error


def _told(run_dir: Path, deadline: float) -> str:
    path = run_dir / MEETING
    while not path.exists():
        _wait(deadline, "the first process of this machine has opened no store")
    return str(json.loads(path.read_bytes())["endpoint"])


def _wait(deadline: float, so_far: str) -> None:
    if time.monotonic() > deadline:
        raise NodesMissingError(so_far, code="training.nodes_missing")
    time.sleep(_LOOK)
