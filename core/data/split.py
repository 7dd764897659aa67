"""Drawing the split, and V, with a seed: stratified, and with whole groups where there are groups. Pure NumPy.

All draws start from a permutation that sorts the rows by raw PCG64 numbers, a stream that NumPy guarantees for ever,
so the same seed gives the same split on every machine and version. Nothing but labels, groups, fractions and the seed
goes in: the order of modalities cannot matter.

Without groups, `draw_parts` gives each part its share of every stratum by largest remainders, and at least one row of
every stratum that has one row for each part; of one that has fewer, train has the first: what is nowhere to be learnt
from can be measured in no other part either. With groups it is greedy: from the largest group to the smallest (equal
ones in seeded order), each goes where it fills most of what the part still lacks of its strata, counted as shares of
each stratum, so that rare ones weigh as much as common ones. A part never stays empty while there are enough groups.

`hash_parts` draws nothing: a row's part follows from the hash of its name alone, whatever other rows there are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.table import Mask, Rows

TRAIN, VALIDATION, TEST, UNUSED = 0, 1, 2, -1
PART_NAMES = ("train", "validation", "test")
PART_COLUMN = "(part)"
"""The column of a table that holds each row's part where the source gives it; no column of a source is called so."""
Codes = NDArray[np.int64]
Parts = NDArray[np.int8]

_SPLIT_STREAM, _HOLDOUT_STREAM = 1, 2
_TOLERANCE = 0.05
_WINDOW = 256


def codes_of(values: list[str]) -> Codes:
    """Each value's place among the sorted distinct values."""
    order = {value: code for code, value in enumerate(sorted(set(values)))}
    return np.fromiter((order[value] for value in values), dtype=np.int64, count=len(values))


def permutation(n: int, seed: int, stream: int) -> Rows:
    """A seeded permutation of `0..n-1`."""
    keys = np.random.PCG64([stream, seed]).random_raw(n)
    return np.argsort(keys, kind="stable").astype(np.int64)


def draw_parts(strata: Codes, groups: Codes | None, fractions: tuple[float, float, float], seed: int) -> Parts:
    """The part of each row: TRAIN, VALIDATION or TEST. A part whose fraction is 0 gets no row.

    `strata` are codes from 0 (all 0: not stratified); with `groups` no group is on two sides. Raises ValueError where
    there are fewer rows (or groups) than parts.
    """
    wanted = np.array(fractions, dtype=np.float64)
    units = len(strata) if groups is None else len(np.unique(groups))
    if units < np.count_nonzero(wanted):
        raise ValueError(f"{units} are fewer than the parts")
    if groups is None or units == len(strata):
        return _draw_rows(strata, wanted, seed)
    return _draw_groups(strata, groups, wanted, seed)


def hash_parts(names: Sequence[str], fractions: tuple[float, float, float], seed: int) -> Parts:
    """The part of each name: its BLAKE2b hash, keyed by the seed, as a number in 0..1, cut at the fractions.

    The first 8 bytes count, big-endian; these are fixed for ever, as is the order train, validation, test.
    """
    key = f"gblend.split.{seed}".encode()
    part_of: dict[str, int] = {}
    for name in set(names):
        digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8, key=key).digest()
        place = int.from_bytes(digest, "big") / 2**64
        if place < fractions[0]:
            part_of[name] = TRAIN
        else:
            part_of[name] = VALIDATION if place < fractions[0] + fractions[1] else TEST
    return np.fromiter((part_of[name] for name in names), dtype=np.int8, count=len(names))


def draw_holdout(labels: Codes, groups: Codes | None, fraction: float, seed: int) -> Mask:
    """Which of the training rows become V; some, and never all.

    Without groups: `fraction` of every class, at least one row of each class that has two, and none of a class that has
    one. With groups: whole groups,
    at least one, until `fraction` of the rows is reached, and never the last one. Of the groups that leave V's class
    proportions within 0.05 (total variation, plus what overshoots the fraction) of the best choice, the seed picks
    one; a group that holds the last training rows of a class is avoided. Needs two rows, and two groups.
    """
    if groups is None or len(np.unique(groups)) == len(groups):
        parts = _draw_rows(labels, np.array([1.0 - fraction, fraction, 0.0]), seed, _HOLDOUT_STREAM)
        return np.equal(parts, VALIDATION)
    return _holdout_groups(labels, groups, fraction, seed)


def _draw_rows(strata: Codes, fractions: NDArray[np.float64], seed: int, stream: int = _SPLIT_STREAM) -> Parts:
    parts = np.zeros(len(strata), dtype=np.int8)
    order = permutation(len(strata), seed, stream)
    totals = np.zeros(3)
    done = 0
    by_stratum = order[np.argsort(strata[order], kind="stable")]
    ends = np.cumsum(np.bincount(strata))
    for rows in np.split(by_stratum, ends[:-1]):
        done += len(rows)
        counts = _shares(len(rows), fractions, fractions * done - totals)
        totals += counts
        parts[rows] = np.repeat(np.arange(3, dtype=np.int8), counts)
    _fill_empty_parts(parts, order, fractions)
    return parts


def _shares(n: int, fractions: NDArray[np.float64], lacking: NDArray[np.float64]) -> NDArray[np.int64]:
    """`n` rows over the parts: the whole shares, then what remains to the parts that lack most so far.

    Train (always used) comes first where there is not a row for every part.
    """
    quotas = n * fractions
    counts = np.floor(quotas + 1e-9).astype(np.int64)
    if n < np.count_nonzero(fractions):
        counts[TRAIN] = max(counts[TRAIN], 1)
    while counts.sum() < n:
        room = np.where(counts < quotas, lacking - counts, -np.inf)
        counts[int(np.argmax(room))] += 1
    used = np.flatnonzero(fractions > 0)
    if n >= len(used):
        for part in used[counts[used] == 0]:
            counts[int(np.argmax(np.where(counts > 1, counts - quotas, -np.inf)))] -= 1
            counts[part] += 1
    return counts


def _fill_empty_parts(parts: Parts, order: Rows, fractions: NDArray[np.float64]) -> None:
    """Many tiny strata can leave a small part without a row: it gets one from the largest."""
    for part in np.flatnonzero(fractions > 0):
        if not (parts == part).any():
            sizes = np.bincount(parts, minlength=3)
            donor = order[parts[order] == int(np.argmax(sizes))][-1]
            parts[donor] = part


def _draw_groups(strata: Codes, groups: Codes, fractions: NDArray[np.float64], seed: int) -> Parts:
    members = _members(groups)
    shuffled = permutation(len(members), seed, _SPLIT_STREAM)
    sizes = np.array([len(members[group]) for group in shuffled])
    queue = shuffled[np.argsort(-sizes, kind="stable")]
    # One more column for the rows as a whole, so that the sizes of the parts count as much as any one stratum.
    totals = np.append(np.bincount(strata), len(strata)).astype(np.float64)
    totals[totals == 0] = 1.0
    lacking = np.repeat(fractions[:, None], len(totals), axis=1)
    used = np.flatnonzero(fractions > 0)
    empty = {int(part) for part in used}
    parts = np.zeros(len(strata), dtype=np.int8)
    for place, group in enumerate(queue):
        share = _counts(strata[members[group]], len(totals)) / totals
        open_parts = sorted(empty) if len(queue) - place <= len(empty) else [int(part) for part in used]
        gains = lacking[open_parts] @ share
        part = open_parts[int(np.argmax(gains))]
        lacking[part] -= share
        empty.discard(part)
        parts[members[group]] = part
    return parts


def _holdout_groups(labels: Codes, groups: Codes, fraction: float, seed: int) -> Mask:
    members = _members(groups)
    known: dict[int, NDArray[np.int64]] = {}
    waiting: list[int] = permutation(len(members), seed, _HOLDOUT_STREAM).tolist()
    classes = int(labels.max()) + 1
    left = np.bincount(labels, minlength=classes).astype(np.float64)
    whole = left / left.sum()
    held = np.zeros(classes)
    chosen = np.zeros(len(labels), dtype=np.bool_)
    # A hair below the fraction is the fraction: 0.15 of 20 rows are 3.
    while held.sum() < fraction * len(labels) - 1e-9 and len(waiting) > 1:
        window = waiting[:_WINDOW]
        for group in window:
            if group not in known:
                known[group] = np.bincount(labels[members[group]], minlength=classes)
        counts = np.array([known[group] for group in window])
        after = held + counts
        distance = 0.5 * np.abs(after / after.sum(axis=1, keepdims=True) - whole).sum(axis=1)
        overshoot = np.maximum(0.0, after.sum(axis=1) / len(labels) - fraction)
        emptied = ((left - counts <= 0) & (counts > 0)).sum(axis=1)
        cost = distance + overshoot + emptied
        pick = int(np.flatnonzero(cost <= cost.min() + _TOLERANCE)[0])
        if held.sum() > 0 and emptied[pick]:
            break
        held, left = held + counts[pick], left - counts[pick]
        chosen[members[waiting.pop(pick)]] = True
    return chosen


def _members(groups: Codes) -> list[Rows]:
    """The rows of each group, groups in the order of their codes."""
    order = np.argsort(groups, kind="stable")
    _, starts = np.unique(groups[order], return_index=True)
    return [rows.astype(np.int64) for rows in np.split(order, starts[1:])]


def _counts(strata: Codes, length: int) -> NDArray[Any]:
    counts = np.bincount(strata, minlength=length).astype(np.float64)
    counts[-1] = len(strata)
    return counts
