"""When and where a job runs. None of this decides what comes out of it, but for rounding.

The number of devices is here and not in `runtime`, and so no part of the fingerprint, on purpose: state is replicated
over the processes, so that a checkpoint of two is as good for one, and a job whose machine is gone may be retried on
another number of devices.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, Strict

from core.spec.base import Bool, SpecModel

DEFAULT_QUEUE = "default"

Priority = Annotated[int, Strict(), Field(ge=-100, le=100)]
QueueName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._\-]{0,63}$")]
Devices = Annotated[int, Strict(), Field(ge=1, le=64)]
Nodes = Annotated[int, Strict(), Field(ge=1, le=64)]
RuntimeLimit = Annotated[float, Strict(), Field(gt=0.0)]


class Scheduling(SpecModel):
    """When, where and on how many devices the job runs. It does not change the result (several devices change it by
    rounding, and draw other numbers for dropout), and is no part of the spec's fingerprint."""

    priority: Priority = 0
    """Of the jobs that wait in a queue, the one with the highest priority goes first; of equals, the oldest."""
    queue: QueueName = DEFAULT_QUEUE
    """The class of workers that may run it: one of the names that a worker listens to."""
    devices: Devices = 1
    """GPUs of one machine (or, on a worker without any, processes) that train it together: every batch is shared out
    among them. It takes so many slots of one worker, and waits for a worker that has as many."""
    nodes: Nodes = 1
    """Workers that train it together, each on so many `devices`: for what is too slow on one machine. The job begins
    once so many workers of its queue have room for it at once."""
    max_runtime_seconds: RuntimeLimit | None = None
    """How long workers may be at work on it, all attempts together, before it fails (`max_runtime`). Waiting and pauses
    do not count. `null`: no limit."""
    spread_estimates: Bool = False
    """Estimate each head in a process of its own, on whatever workers are free, and train once all of them are done.
    The numbers are the same bit for bit (CPU). For `offline` with the estimator `exact`, without pre-training, on one
    device."""
