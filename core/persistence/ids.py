"""Prefixed, time-sortable ids: `job_01J...`, a ULID (48 bits of milliseconds, 80 of chance, Crockford's base 32)."""

from __future__ import annotations

import secrets
from datetime import datetime

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LENGTH = 26


def new_id(prefix: str, moment: datetime) -> str:
    """An id that sorts by `moment` (milliseconds); 80 random bits keep those of one millisecond apart."""
    return _written(prefix, _milliseconds(moment) | secrets.randbits(80))


def new_ids(prefix: str, moment: datetime, count: int) -> list[str]:
    """Ids of things made at one `moment` that sort in this order: the random part counts up, as ULID's own monotonic
    ids do."""
    first = _milliseconds(moment) | secrets.randbits(79)  # a bit less, so that counting up cannot overflow
    return [_written(prefix, first + place) for place in range(count)]


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000) << 80


def _written(prefix: str, number: int) -> str:
    digits = []
    for _ in range(_LENGTH):
        number, digit = divmod(number, 32)
        digits.append(_ALPHABET[digit])
    return f"{prefix}_{''.join(reversed(digits))}"
