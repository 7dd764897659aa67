"""Which faults a run has, and in which order: drawn from a seed."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping

UNITS = 1500
"""Of a whole run on one back-end; a shorter one has as large a part of the faults, and each at least once."""

_EVERYWHERE: Mapping[str, int] = {
    "kill_child": 64,
    "kill_worker": 36,
    "kill_api": 12,
    "kill_at_point": 33,
    "stop_worker": 8,
    "stop_child": 8,
    "stale_worker": 3,
    "end_worker": 4,
    "lose_wake_ups": 8,
    "double_wake_ups": 8,
    "reorder_wake_ups": 4,
    "disk_full": 4,
    "clock_jump": 4,
    "sleep": 2,
    "unanswered_commit": 8,
}
_OF: Mapping[str, Mapping[str, int]] = {
    "sqlite": {"stale_broker": 5, "lock_database": 4},
    "postgres": {
        "restart_redis_with_data": 12,
        "restart_redis_empty": 12,
        "restart_postgres": 12,
        "restart_postgres_at_commit": 6,
        "kill_backend": 6,
        "disconnect_postgres": 6,
        "disconnect_redis": 6,
        "half_open": 4,
    },
}
RANDOM_KILLS = ("kill_child", "kill_worker", "kill_api")
BROKER_RESTARTS = ("restart_redis_with_data", "restart_redis_empty")
DATABASE_RESTARTS = ("restart_postgres", "restart_postgres_at_commit", "kill_backend")


def faults(backend: str, units: int, rng: random.Random) -> list[str]:
    """The names of the faults of a run with so many units, shuffled."""
    share = units / UNITS
    counts = {**_EVERYWHERE, **_OF[backend]}
    drawn = [name for name, count in counts.items() for _ in range(max(1, math.ceil(count * share - 1e-9)))]
    rng.shuffle(drawn)
    return drawn


def every(backend: str) -> list[str]:
    """The names of all faults of a back-end."""
    return [*_EVERYWHERE, *_OF[backend]]
