"""Range requests on one representation (RFC 9110, section 14): one range, or the whole."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ONE_RANGE = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes `first` to `last`, both included."""

    first: int
    last: int

    @property
    def length(self) -> int:
        """How many bytes that is."""
        return self.last - self.first + 1


class UnsatisfiableRangeError(ValueError):
    """The range begins behind the end: 416."""


def parse_range(header: str | None, size: int) -> ByteRange | None:
    """The one range that is asked for, cut to `size`; `None`: send the whole.

    A header that is malformed, in another unit, or of several ranges is ignored, as the RFC allows.
    """
    match = None if header is None else _ONE_RANGE.fullmatch(header)
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if first == "":  # the last so many bytes
        length = min(int(last), size)
        if length == 0:
            raise UnsatisfiableRangeError(header)
        return ByteRange(size - length, size - 1)
    if last != "" and int(last) < int(first):
        return None
    if int(first) >= size:
        raise UnsatisfiableRangeError(header)
    return ByteRange(int(first), size - 1 if last == "" else min(int(last), size - 1))
