"""A spread job's units, for tests that play its workers: submit, claim, finish, look."""

from __future__ import annotations

from typing import Any

from sqlalchemy import text

from core.jobs.lease import Lease, StoredEstimate
from core.jobs.service import JobService
from core.jobs.units import UnitService
from core.jobs.views import JobView
from core.persistence import Database
from tests.integration.engine.samples import estimate, spec

ERROR = {"code": "child_crashed", "message": "it crashed", "hint": None}
DEFAULT = ("default",)
OFFLINE = {"strategy": "offline"}


def submit(jobs: JobService, **scheduling: Any) -> str:
    """A job of three heads: its id."""
    return jobs.submit(spec(blending=OFFLINE, scheduling={"spread_estimates": True, **scheduling}))[0].id


def claim(units: UnitService) -> Lease:
    """The unit that is next; there must be one."""
    lease = units.claim_next(DEFAULT, "w")
    assert lease is not None
    return lease


def claim_all(units: UnitService) -> list[Lease]:
    """All heads, and nothing is left to take."""
    leases = [claim(units) for _ in range(3)]
    assert units.claim_next(DEFAULT, "w") is None, "the run waits"
    return leases


def stored(lease: Lease) -> StoredEstimate:
    """The file of a head, as if it were in the store."""
    assert lease.head is not None
    uri = f"jobs/{lease.job_id}/{lease.folder}/estimate.safetensors"
    return StoredEstimate(head=lease.head, uri=uri, bytes=7, sha256="0" * 64)


def finish(units: UnitService, lease: Lease) -> list[str]:
    """Record all that a head tells, and its file; returns the units to be told of."""
    assert lease.head is not None
    units.record(lease, estimate(lease.head))
    return [wake_up.unit_id for wake_up in units.finish_estimate(lease, stored(lease))]


def states(database: Database, job_id: str) -> dict[str, str]:
    """`<kind><slot>` -> state of every unit, in the order of claims."""
    query = "SELECT kind, slot, state FROM unit WHERE job_id = :job ORDER BY id"
    with database.read() as session:
        found = session.execute(text(query), {"job": job_id}).all()
    return {f"{row.kind}{row.slot}": row.state for row in found}


def lose(database: Database, lease: Lease) -> None:
    """Its worker was not heard of for too long."""
    past = "UPDATE unit SET lease_until = '2000-01-01 00:00:00.000000+00' WHERE id = :unit"
    with database.write() as session:
        session.execute(text(past), {"unit": lease.unit_id})


def statuses(job: JobView) -> list[str]:
    """All that the job has been."""
    return [transition.status.value for transition in job.transitions]


def data_of(jobs: JobService, job_id: str, kind: str) -> list[dict[str, Any]]:
    """The data of the job's events of a type."""
    return [event.data for event in jobs.events(job_id, types={kind}, limit=1000).data]
