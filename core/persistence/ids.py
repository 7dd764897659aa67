"""Prefixed, time-sortable ids: `job_01J...`, a ULID (48 bits of milliseconds, 80 of chance, Crockford's base 32)."""

from __future__ import annotations

import secrets
from datetime import datetime

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LENGTH = 26


def new_id(prefix: str, moment: datetime) -> str:
    """An id that sorts by `moment` (milliseconds); 80 random bits keep those of one millisecond apart."""
    number = (int(moment.timestamp() * 1000) << 80) | secrets.randbits(80)
    digits = []
    for _ in range(_LENGTH):
        number, digit = divmod(number, 32)
        digits.append(_ALPHABET[digit])
    return f"{prefix}_{''.join(reversed(digits))}"
