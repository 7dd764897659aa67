"""Runs to Markdown: what each strategy answers with, how far it is from the best in hindsight, what it cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import sqrt
from statistics import mean, stdev
from typing import Any

from benchmarks.method.strategies import DEFAULT, REFERENCE

Run = dict[str, Any]

AT_RANDOM = ", V at random"
"""How the names of the sets end whose V ignores groups."""
HEADS = ("heads_pool", "fused_fine_tuned", "fused", "heads_average")


def markdown(runs: Sequence[Run]) -> str:
    """All tables."""
    sets = list(dict.fromkeys(run["set"] for run in runs))
    parts = [_overview(runs, sets), _matrix(runs, sets), _group_aware(runs, sets)]
    parts += [_one_set([run for run in runs if run["set"] == name], name) for name in sets]
    return "\n".join(parts)


def _overview(runs: Sequence[Run], sets: Sequence[str]) -> str:
    lines = [
        "## The default recipe against everything else\n",
        'Test accuracy in percent. "Best" is the strategy with the best mean *in hindsight*; the differences are the '
        "means of the paired differences per seed, \u00b1 their standard error.\n",
        f"| data set | {DEFAULT} | {REFERENCE} | {DEFAULT} \u2212 {REFERENCE} | best | {DEFAULT} \u2212 best | seeds |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in sets:
        by_strategy = _by_strategy([run for run in runs if run["set"] == name])
        if DEFAULT not in by_strategy or REFERENCE not in by_strategy:
            continue
        best = max(by_strategy, key=lambda strategy: mean(by_strategy[strategy].values()))
        default = by_strategy[DEFAULT]
        lines.append(
            f"| {name} | {spread(default.values())} | {spread(by_strategy[REFERENCE].values())} "
            f"| {difference(default, by_strategy[REFERENCE])} | {best} {spread(by_strategy[best].values())} "
            f"| {difference(default, by_strategy[best])} | {len(default)} |"
        )
    return "\n".join([*lines, ""])


def _matrix(runs: Sequence[Run], sets: Sequence[str]) -> str:
    """Every strategy on every set with a sound V: what it answers with."""
    sound = [name for name in sets if not name.endswith(AT_RANDOM)]
    by_set = {name: _by_strategy([run for run in runs if run["set"] == name]) for name in sound}
    names = dict.fromkeys(run["strategy"] for run in runs if not run["strategy"].startswith("unimodal:"))
    lines = ["## Every strategy on every set\n", f"| strategy | {' | '.join(sound)} |", f"|---|{'---|' * len(sound)}"]
    for strategy in names:
        scores = [spread(by_set[name].get(strategy, {}).values()) for name in sound]
        lines.append(f"| {strategy} | {' | '.join(scores)} |")
    return "\n".join([*lines, ""])


def _group_aware(runs: Sequence[Run], sets: Sequence[str]) -> str:
    """The same rows with a V that respects groups and with one that ignores them."""
    pairs = [(name.removesuffix(AT_RANDOM), name) for name in sets if name.endswith(AT_RANDOM)]
    if not pairs:
        return ""
    lines = [
        "## V by groups against V at random\n",
        "V is one unseen speaker, or as large a share of the training rows whoever speaks; the fused head is told as "
        "blending left it.\n",
        "| data set | strategy | answer, V by groups | answer, V at random | difference | fused, V by groups "
        "| fused, V at random | difference |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for sound, drawn in pairs:
        for strategy in dict.fromkeys(run["strategy"] for run in runs if run["set"] == drawn):
            cells = []
            for of in (_answer, _fused):
                one, other = (
                    {run["seed"]: of(run) for run in runs if (run["set"], run["strategy"]) == (name, strategy)}
                    for name in (sound, drawn)
                )
                cells += [spread(one.values()), spread(other.values()), difference(one, other)]
            lines.append(f"| {sound} | {strategy} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _answer(run: Run) -> float:
    return float(run["score"])


def _fused(run: Run) -> float:
    return float(run["heads"]["fused"])


def _one_set(runs: Sequence[Run], name: str) -> str:
    lines = [
        f"## {name}\n",
        f"| strategy | answer | {' | '.join(HEADS)} | answers |",
        f"|---|---|{'---|' * (len(HEADS) + 1)}",
    ]
    for strategy in dict.fromkeys(run["strategy"] for run in runs):
        mine = [run for run in runs if run["strategy"] == strategy]
        heads = [spread([run["heads"][head] for run in mine if head in run["heads"]]) for head in HEADS]
        answers = Counter(run["answer"] for run in mine)
        lines.append(
            f"| {strategy} | {spread([run['score'] for run in mine])} | {' | '.join(heads)} "
            f"| {', '.join(f'{head} {count}' for head, count in answers.most_common())} |"
        )
    return "\n".join([*lines, ""])


def _by_strategy(runs: Sequence[Run]) -> dict[str, dict[int, float]]:
    found: dict[str, dict[int, float]] = {}
    for run in runs:
        if run["score"] is not None:
            found.setdefault(run["strategy"], {})[run["seed"]] = run["score"]
    return found


def spread(values: Any) -> str:
    """Mean and standard deviation in percent."""
    known = [100.0 * value for value in values if value is not None]
    if not known:
        return ""
    return f"{mean(known):.1f}" if len(known) == 1 else f"{mean(known):.1f} \u00b1 {stdev(known):.1f}"


def difference(one: dict[int, float], other: dict[int, float]) -> str:
    """Mean of the paired differences and its standard error, in points."""
    gaps = [100.0 * (one[seed] - other[seed]) for seed in one if seed in other]
    error = f" \u00b1 {stdev(gaps) / sqrt(len(gaps)):.1f}" if len(gaps) > 1 else ""
    return f"{mean(gaps):+.1f}{error}"
