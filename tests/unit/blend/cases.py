"""Drawn losses whose heads share what makes a row hard, in the forms that core and oracle take."""

from __future__ import annotations

import numpy as np

from core.blend import HeadLosses

PARTS = ("train_before", "train_after", "holdout_before", "holdout_after")


def drawn(seed, heads, train, holdout, groups=None):
    """Skewed losses of `heads` heads; gains between -0.1 and 1 on average, alike in heads (and in rows of a group)."""
    rng = np.random.default_rng(seed)
    shared = {"train": rng.gamma(2.0, 0.5, train), "holdout": rng.gamma(2.0, 0.5, holdout)}
    if groups is not None:
        shared = {part: rng.gamma(2.0, 0.5, 50)[groups[part]] for part in shared}
    found = []
    for _ in range(heads):
        learnt, generalised = rng.uniform(0.3, 1.0), rng.uniform(-0.1, 0.9)
        rows = {}
        for part, size, factor in (("train", train, learnt), ("holdout", holdout, generalised)):
            rows[f"{part}_before"] = 1.0 + shared[part] + rng.gamma(1.0, 0.2, size)
            rows[f"{part}_after"] = rows[f"{part}_before"] - factor * shared[part] - rng.normal(0.0, 0.2, size)
        found.append(rows)
    return found


def for_core(heads):
    """The heads as `core.blend` takes them, called h0, h1 and so on."""
    return {f"h{k}": HeadLosses(**{part: np.asarray(rows[part]) for part in PARTS}) for k, rows in enumerate(heads)}


def for_oracle(heads):
    """The heads as lists of plain numbers."""
    return [{part: np.asarray(rows[part]).tolist() for part in PARTS} for rows in heads]
