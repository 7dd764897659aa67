"""The results' file (a JSON line per run) and what its runs add up to."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.chaos.plan import BROKER_RESTARTS, DATABASE_RESTARTS, RANDOM_KILLS
from tests.chaos.runner import Result

Record = dict[str, Any]
_START = "<!-- results: python -m tests.chaos report --into docs/reliability.md -->"
_END = "<!-- end of results -->"


def append(path: Path, result: Result) -> None:
    """Add a run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(result.as_json()) + "\n")


def read(path: Path) -> list[Record]:
    """Every run; `FileNotFoundError` where there was none."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def summary(records: Sequence[Record]) -> str:
    """Two Markdown tables: what was done to what, and every fault with its count; then what was found."""
    backends = sorted({record["backend"] for record in records})
    of = {backend: [r for r in records if r["backend"] == backend] for backend in backends}
    columns = [*[of[backend] for backend in backends], list(records)]
    head = ["", *backends, "together"]
    figures: dict[str, Callable[[Sequence[Record]], int]] = {
        "runs": len,
        "units": lambda rs: _sum(rs, "units"),
        "attempts": lambda rs: _sum(rs, "attempts"),
        "random SIGKILLs of training, worker, API": lambda rs: _count(rs, "faults", RANDOM_KILLS),
        "workers killed at a point around claim, commit, record, store, finish": lambda rs: _count(rs, "points"),
        "trainings killed at a point around checkpoint, publish, artifact, exit": lambda rs: sum(
            count for r in rs for kind, count in r["scripted"].items() if kind.startswith("dies at")
        ),
        "broker restarts": lambda rs: _count(rs, "faults", BROKER_RESTARTS),
        "database restarts": lambda rs: _count(rs, "faults", DATABASE_RESTARTS),
        "events": lambda rs: _sum(rs, "events"),
        "super-epochs": lambda rs: _sum(rs, "super_epochs"),
        "metrics": lambda rs: _sum(rs, "metrics"),
        "streams followed to their end": lambda rs: _sum(rs, "streams"),
        "reconnections of streams": lambda rs: _sum(rs, "reconnects"),
        "errors in the logs of workers and API": lambda rs: _count(rs, "errors"),
        "minutes": lambda rs: round(_sum(rs, "seconds") / 60),
        "violations": lambda rs: sum(len(r["problems"]) for r in rs),
    }
    lines = [_row(head), _row(["---", *["---:"] * (len(head) - 1)])]
    lines += [_row([name, *(f"{figure(column):,}" for column in columns)]) for name, figure in figures.items()]
    names = sorted({name for r in records for name in r["faults"]})
    lines += ["", _row(["fault", *head[1:]]), _row(["---", *["---:"] * (len(head) - 1)])]
    lines += [_row([name.replace("_", " "), *(str(_count(c, "faults", (name,))) for c in columns)]) for name in names]
    kinds = sorted({kind for r in records for kind in r["scripted"]})
    lines += [_row([f"unit: {kind}", *(str(_count(c, "scripted", (kind,))) for c in columns)]) for kind in kinds]
    found = [f"- {r['backend']}, seed {r['seed']}: {problem}" for r in records for problem in r["problems"]]
    return "\n".join([*lines, "", *(found[:50] or ["No violation was found."])])


def replaced(page: str, summary: str) -> str:
    """The page with this summary between the two comments that mark the place."""
    before, start, rest = page.partition(_START)
    _, end, after = rest.partition(_END)
    if not end:
        raise ValueError("the page does not say where results stand")
    return f"{before}{start}\n\n{summary}\n\n{end}{after}"


def _sum(records: Sequence[Record], name: str) -> int:
    return round(sum(float(record[name]) for record in records))


def _count(records: Sequence[Record], name: str, kinds: Sequence[str] | None = None) -> int:
    total: Counter[str] = Counter()
    for record in records:
        total.update(record[name])
    return sum(total.values()) if kinds is None else sum(total[kind] for kind in kinds)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
