"""What the processes of a fleet have logged, read from files in which lines may be cut."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

_ENTRY = '{"event": '
_decoder = json.JSONDecoder()


def entries(line: str) -> Iterator[dict[str, Any]]:
    """The log entries of a line. SIGKILL in the middle of a write leaves an entry without its end, and the line without
    one too: what the next process writes stands in it as well. The cut entry is left out, the others are found."""
    start = line.find(_ENTRY)
    while start >= 0:
        try:
            told, end = _decoder.raw_decode(line, start)
            yield told
        except json.JSONDecodeError:
            end = start + 1
        start = line.find(_ENTRY, end)


def errors(log: str) -> Counter[str]:
    """What was logged as errors, by its words, and lines of tracebacks that went past the logs."""
    found: Counter[str] = Counter()
    for line in log.splitlines():
        if line.startswith("Traceback "):
            found["traceback"] += 1
        for told in entries(line):
            if told.get("level") == "error":
                raised = [part.strip(" |") for part in told.get("exception", "").splitlines() if "Error: " in part]
                found["; ".join([told["event"].strip(), told.get("path", ""), *raised[-1:]])] += 1
    return found
