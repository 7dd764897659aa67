"""One run: a fleet, its owners, a hundred faults, and then the checker."""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import httpx
from sqlalchemy import text

from core.spec import JobSpec
from tests.chaos import failpoints, plan
from tests.chaos.child import CHECKPOINT_EVERY
from tests.chaos.clients import Owners, diverging_spec, real_spec, spec_of
from tests.chaos.faults import Faults
from tests.chaos.fleet import Backend, Fleet
from tests.chaos.invariants import TERMINAL, Contents, check, redone
from tests.chaos.processes import marked
from tests.chaos.scripts import Script, Scripts, draw
from tests.chaos.watch import Watching
from tests.servers import wait_until

Say = Callable[[str], None]
_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Result:
    """What one run did and found."""

    backend: str
    seed: int
    units: int = 0
    attempts: int = 0
    seconds: float = 0.0
    faults: dict[str, int] = field(default_factory=dict)
    """Those that found a victim."""
    without_victim: dict[str, int] = field(default_factory=dict)
    """How often one was tried in vain."""
    points: dict[str, int] = field(default_factory=dict)
    """Workers that died at a point, by point."""
    scripted: dict[str, int] = field(default_factory=dict)
    """Units by what was wrong with them from the start."""
    starts: dict[str, int] = field(default_factory=dict)
    events: int = 0
    super_epochs: int = 0
    metrics: int = 0
    streams: int = 0
    reconnects: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    """What workers and API processes logged as errors, by its first words."""
    problems: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For a line of the results' file."""
        return asdict(self)


def run(
    backend: Backend,
    *,
    units: int,
    seed: int,
    real: int = 3,
    minutes: float = 15.0,
    interval: float = 1.2,
    say: Say = lambda _: None,
) -> Result:
    """Submit `units` scripted jobs and `real` trainings, and do every fault of the plan meanwhile: one every `interval`
    seconds at most, and no faster than the jobs are accepted, so that they are spread over the whole run. Faults end
    after `minutes`; then everything must come to its end within as long again."""
    rng = random.Random(f"{seed}/{backend}")
    scripts = Scripts()
    for number, script in enumerate(draw(units, rng)):
        scripts.by_key[f"{number:05d}"] = script
    result = Result(backend=backend, seed=seed, scripted=dict(Counter(_wrong(s) for s in scripts.by_key.values())))
    began = time.monotonic()
    fleet = Fleet(backend)
    try:
        fleet.start()
        say(f"the fleet is ready after {time.monotonic() - began:.1f} s")
        _run(fleet, scripts, rng, result, real=real, seconds=60.0 * minutes, interval=interval, say=say)
        _inspect(fleet, scripts, result)
    except BaseException:
        say(fleet.log()[-8000:])
        raise
    finally:
        fleet.close()
    if left := marked(fleet.token):
        result.problems.append(f"processes left: {sorted(left.values())}")
    result.seconds = time.monotonic() - began
    return result


def _run(
    fleet: Fleet,
    scripts: Scripts,
    rng: random.Random,
    result: Result,
    *,
    real: int,
    seconds: float,
    interval: float,
    say: Say,
) -> None:
    if real:
        _submit_real(fleet, scripts, 1)
        wait_until(lambda: _has_ended(fleet), "the undisturbed training", seconds=300.0, every=0.5)
    watching = Watching(fleet)
    owners = Owners(
        fleet.urls,
        scripts,
        rng=rng,
        submit_poison=lambda key, script: _submit_poison(fleet, key, script),
        ended=lambda: watching.ends.ended,
    )
    watching.start()
    owners.start()
    if real > 1:
        _submit_real(fleet, scripts, real - 1)
        scripts.diverging.add("diverging")
        _submit(fleet, "diverging", diverging_spec())
    faults = Faults(fleet, rng)
    _do_all(fleet, owners, faults, rng, until=time.monotonic() + seconds, interval=interval, say=say)
    failpoints.disarm_all(fleet.folder)
    say(f"{sum(faults.done.values())} faults done; {watching.ends.ended} jobs have ended")
    fleet.settle()
    patience = max(120.0, seconds)
    everybody = len(scripts.keys)
    try:
        wait_until(
            lambda: owners.is_done and watching.ends.ended >= everybody, "jobs to end", seconds=patience, every=0.2
        )
    except AssertionError:
        result.problems.append(f"not everything ended within {patience:.0f} s: {watching.ends.ended} of {everybody}")
    owners.stop()
    fleet.restart_workers()
    result.problems += [*watching.stop(), *owners.problems]
    result.faults, result.without_victim = faults.done, faults.without_victim
    result.points = dict(Counter(failpoints.died(fleet.folder)))
    result.starts = {member.name: member.starts for member in fleet.members}
    result.streams, result.reconnects = len(owners.streams), owners.reconnects
    result.problems += check(
        Contents(fleet.database),
        scripts,
        store=fleet.folder / "state" / "artifacts",
        runs=fleet.settings.runs_dir,
        streams=owners.streams,
    )


def _do_all(
    fleet: Fleet, owners: Owners, faults: Faults, rng: random.Random, *, until: float, interval: float, say: Say
) -> None:
    units = len(owners.scripts.by_key)
    planned = plan.faults(fleet.backend, units, rng)
    for number, name in enumerate(planned, 1):
        tries = 0
        while not faults.do(name):
            tries += 1
            if tries == 20 or time.monotonic() > until:
                break
            time.sleep(0.1)
        if number % 20 == 0:
            say(f"fault {number} of {len(planned)}; {owners.accepted} jobs accepted")
        if time.monotonic() > until:
            say(f"time is up after {number} of {len(planned)} faults")
            return
        time.sleep(interval * rng.uniform(0.5, 1.5))
        while owners.accepted < units * number // len(planned) and time.monotonic() < until:
            time.sleep(0.05)


def _inspect(fleet: Fleet, scripts: Scripts, result: Result) -> None:
    contents = Contents(fleet.database)
    result.errors = dict(fleet.errors())
    result.problems += redone(contents, scripts, fleet.folder / "diary", every=CHECKPOINT_EVERY)
    result.units = sum(len(units) for units in contents.units.values())
    result.attempts = sum(unit["attempt"] for units in contents.units.values() for unit in units)
    result.events = sum(map(len, contents.events.values()))
    result.super_epochs = sum(map(len, contents.super_epochs.values()))
    result.metrics = sum(map(len, contents.metrics.values()))


def _submit_real(fleet: Fleet, scripts: Scripts, count: int) -> None:
    for _ in range(count):
        key = f"real-{len(scripts.real)}"
        scripts.real.add(key)
        _submit(fleet, key, real_spec())


def _submit(fleet: Fleet, key: str, spec: dict[str, Any]) -> None:
    for _ in range(200):
        try:
            headers = {"idempotency-key": key}
            if httpx.post(f"{fleet.urls[-1]}/v1/jobs", json=spec, headers=headers, timeout=10.0).is_success:
                return
        except httpx.TransportError as error:
            _log.debug("%s is not submitted yet: %s", key, error)
        time.sleep(0.1)
    raise AssertionError(f"{key} was not accepted")


def _submit_poison(fleet: Fleet, key: str, script: Script) -> str:
    """Past the API, which gives every job the fleet's many attempts."""
    spec = JobSpec.model_validate(spec_of(script))
    deadline = time.monotonic() + 120.0
    while True:
        try:
            return fleet.poison.submit(spec, idempotency_key=key)[0].id
        except Exception:  # the database is away, as every now and then here
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _has_ended(fleet: Fleet) -> bool:
    """Whether all jobs that there are have ended."""
    with fleet.database.read() as session:
        return {*session.execute(text("SELECT status FROM job")).scalars()} <= {*TERMINAL}


def _wrong(script: Script) -> str:
    return f"dies at {script.die_at}" if script.die_at else script.kind
