"""What was measured, what it should be, and whether it is: one line of the table each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One promise, held against what was measured."""

    what: str
    where: str
    """`SQLite, files` or `PostgreSQL, Redis`."""
    measured: str
    target: str
    reached: bool | None
    """`None`: nothing was promised; the number is for comparison."""


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed (nearest rank). `values` is not empty."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def at_most(what: str, where: str, values: Sequence[float], target: float, *, share: float = 1.0) -> Figure:
    """Seconds, of which the part `share` shall not exceed `target`; 1.0: none. Nothing measured is not reached."""
    name = "max" if share == 1.0 else f"p{share * 100:g}"
    goal = f"{name} ≤ {target:g} s"
    if not values:
        return Figure(what=what, where=where, measured="nothing", target=goal, reached=False)
    found = percentile(values, share)
    shown = [f"median {percentile(values, 0.5):.3g}", f"max {max(values):.3g} s (n = {len(values)})"]
    if share < 1.0:
        shown.insert(1, f"{name} {found:.3g}")
    return Figure(what=what, where=where, measured=", ".join(shown), target=goal, reached=found <= target)


def none_of(what: str, where: str, found: int, of: str) -> Figure:
    """Something that must not happen, not once."""
    return Figure(what=what, where=where, measured=f"{found} of {of}", target="0", reached=found == 0)


def table(figures: Sequence[Figure]) -> str:
    """All of them, as Markdown."""
    verdict = {True: "yes", False: "**no**", None: ""}
    lines = ["| figure | on | measured | target | reached |", "|---|---|---|---|---|"]
    lines += [
        f"| {one.what} | {one.where} | {one.measured} | {one.target} | {verdict[one.reached]} |" for one in figures
    ]
    return "\n".join(lines)
