"""A job in several units: the run, and one per head where its estimates are spread (`scheduling.spread_estimates`),
or one per further machine where several train it together (`scheduling.nodes`).

The estimates are `ready` from the start and any worker may take any of them; the run is `waiting` until whoever ends
the last of them makes it `ready`, in the transaction in which that one is done.

With several machines it is the other way round: the run is `ready`, and the units of the further machines are `waiting`
until the run's worker tells where to meet (`UnitService.open_nodes`). They hold as long as the run is held, no longer,
and write nothing: what becomes of the job is the run's affair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.jobs.lease import Node, StoredEstimate
from core.persistence.orm import UnitRow
from core.spec import FUSED, JobSpec

RUN, ESTIMATE, NODE = "run", "estimate", "node"

_DEAREST_FIRST = ("video", "image", "audio", "text", "timeseries", "embedding", "tabular")
"""Types of modalities by what an epoch of their usual encoders takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one unit of a job does."""

    kind: str
    slot: int
    state: str
    """In which it begins."""
    payload: dict[str, Any] | None


def parts_of(spec: JobSpec) -> list[Part]:
    """The units that a job needs, in the order in which workers should take them.

    The fused head comes first: it trains every encoder, so it takes about as long as all others together, and whoever
    takes it last would keep the run waiting. The others follow, the dearest first, for the same reason.
    """
    if not spec.scheduling.spread_estimates:
        further = range(1, spec.scheduling.nodes)
        nodes = [Part(kind=NODE, slot=number, state="waiting", payload=None) for number in further]
        return [Part(kind=RUN, slot=0, state="ready", payload=None), *nodes]
    heads = spec.head_names
    dearness = {modality.name: _DEAREST_FIRST.index(modality.type) for modality in spec.dataset.modalities}
    order = sorted(heads, key=lambda head: (head != FUSED, dearness.get(head, -1), head))
    estimates = [Part(kind=ESTIMATE, slot=heads.index(head), state="ready", payload={"head": head}) for head in order]
    return [*estimates, Part(kind=RUN, slot=0, state="waiting", payload=None)]


def part_name(unit: UnitRow) -> str:
    """`Lease.part` of a unit."""
    return {ESTIMATE: f"e{unit.slot}", NODE: f"n{unit.slot}"}.get(unit.kind, "")


def node_of(unit: UnitRow, spec: Mapping[str, Any]) -> Node | None:
    """Its machine among those that train the job; `None` where there is one."""
    count = int(spec.get("scheduling", {}).get("nodes", 1))
    if count == 1:
        return None
    if unit.kind == RUN:
        return Node(count=count, number=0, token=token_of(unit), meeting=None)
    told = unit.payload or {}
    return Node(count=count, number=unit.slot, token=told["token"], meeting=told["meeting"])


def token_of(run: UnitRow) -> str:
    """By which the machines of one attempt know each other: it changes with every lease of the run."""
    return f"{run.id}.{run.fence}"


def journal_name(unit: UnitRow) -> str:
    """What the events of its journal are numbered under: the run's are the same whoever made the estimates."""
    return f"estimate.{unit.slot}" if unit.kind == ESTIMATE else "run"


def head_of(unit: UnitRow) -> str | None:
    """The head that it estimates."""
    return str(unit.payload["head"]) if unit.kind == ESTIMATE and unit.payload else None


def estimates_of(unit: UnitRow) -> tuple[StoredEstimate, ...]:
    """The files that the run goes on from; none where it estimates itself, or its estimates are not all done."""
    found = (unit.payload or {}).get("estimates", ()) if unit.kind == RUN else ()
    return tuple(StoredEstimate(**raw) for raw in found)


def payload_of_run(estimates: Sequence[UnitRow]) -> dict[str, Any]:
    """What the run needs of the estimates that are done."""
    return {"estimates": [unit.result for unit in sorted(estimates, key=lambda unit: unit.slot)]}


def combined_progress(units: Sequence[UnitRow]) -> dict[str, Any] | None:
    """The progress of a job whose heads are estimated at once; `None` before any of them said something.

    Each unit's `steps` are the whole run's, so what they have done adds up. The time left is that of the speed at which
    those that are at work go on together.
    """
    told = [unit.progress for unit in units if unit.progress is not None]
    if not told:
        return None
    # What still computes features has no steps to add yet.
    told = [progress for progress in told if progress["steps"]] or told
    newest = max(told, key=lambda progress: float(progress["updated_at"]))
    if not newest["steps"]:
        return newest
    steps, step = int(newest["steps"]), sum(int(progress["step"]) for progress in told)
    speed = sum(_speed(unit.progress) for unit in units if unit.state == "leased")
    return newest | {
        "step": step,
        "percent": round(100.0 * min(step / steps, 1.0), 2),
        "eta_seconds": round((steps - step) / speed, 1) if speed else None,
    }


def _speed(progress: dict[str, Any] | None) -> float:
    """Steps per second, from the time that the process expects the whole rest to take it alone; 0: not known."""
    if progress is None or not progress["eta_seconds"]:
        return 0.0
    return float((progress["steps"] - progress["step"]) / progress["eta_seconds"])
