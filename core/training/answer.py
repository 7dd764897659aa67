"""What the trained model answers with: chosen on rows that no head was trained on, before the test part is read.

Candidates are the pool of all trained heads (`core.training.pool`), the fine-tuned fused head, the fused head as
blending left it, the average of the heads with the blend's weights, and the best single modality's head. The pool is
judged by cross-fitting (each fold of the rows, of whole groups where there are such, is answered with weights fitted on
the others), so that fitting on the rows it is compared on buys it nothing.

The pool is preferred, and another candidate is taken only where it does better by more than the noise of the paired
difference (1.96 of its standard errors, more where rows or groups are few, by Student's t): what can be decided by
noise stays with the answer that fails least.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.blend.errors import clusters, mean_and_error, stands_out
from core.models.seeding import derive
from core.spec.base import AVERAGE, FINE_TUNED, FUSED, POOL
from core.training.batches import Rows
from core.training.measure import Scores, measuring
from core.training.objective import Objective
from core.training.pool import fit_pool
from core.training.session import Session

BEST_SINGLE = "best_single"
"""What a spec calls the best uni-modal head; the answer then is that head's name."""
SURE = 0.95
"""How sure one must be (two-sided) that another candidate does better than the preferred one."""
FOLDS = 5
_CELLS = 20_000_000
"""The most numbers (rows x outputs x heads) that the pool is fitted on; beyond that, rows drawn by the run's seed."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The choice, and how clear it was."""

    head: str
    reason: str
    runner_up: str | None
    """The best of the other candidates; `None` where there is none."""
    margin: float | None
    """By how much the answer did better than the runner-up on the rows of the choice, per sample."""
    margin_se: float | None
    """Standard error of the paired difference; by group where V has groups."""
    pool: dict[str, float]
    """Weights of `heads_pool` (any sum >= 0); empty where there is nothing to pool."""


class WithPool(nn.Module):
    """A module with the pool of its heads as one more head; each head is computed once."""

    def __init__(self, module: nn.Module, objective: Objective, weights: Mapping[str, float]) -> None:
        super().__init__()
        self.module = module
        self._objective = objective
        self._weights = {name: torch.tensor(weight, dtype=torch.float64) for name, weight in weights.items()}

    def forward(self, inputs: Mapping[str, Tensor], heads: Sequence[str]) -> dict[str, Tensor]:
        """Outputs [B, K] of the heads asked for, `heads_pool` among them."""
        wanted = [name for name in heads if name != POOL]
        needed = [*wanted, *(name for name in self._weights if name not in wanted)] if POOL in heads else wanted
        outputs: dict[str, Tensor] = self.module(inputs, needed)
        found = {name: outputs[name] for name in wanted}
        if POOL in heads:
            found[POOL] = self._objective.pool(outputs, self._weights)
        return found


def choose(session: Session, module: nn.Module, rows: Rows, groups: NDArray[np.int64] | None) -> Answer:
    """Chooses among the heads of `module` (the model, with its fine-tuned head) on `rows`; `groups` [N] are theirs."""
    heads = _trained(session)
    if len(heads) == 1:
        return _only(session, heads[0], "it is the only head")
    outputs, targets = _outputs(session, module, rows, heads)
    return choose_among(session, outputs, targets, groups)


def choose_among(
    session: Session, outputs: dict[str, Tensor], targets: Tensor, groups: NDArray[np.int64] | None
) -> Answer:
    """Chooses among two heads or more, given what they say: outputs [N, K] by head, targets and groups [N]."""
    objective, asked = session.objective, session.spec.answer
    chosen = _sample(session, outputs, targets)
    kept = None if groups is None else groups[chosen.numpy()]
    fitted = {name: output[chosen] for name, output in outputs.items()}
    pool = fit_pool(objective, fitted, targets[chosen])
    found = {name: Scores.of(objective, output[chosen], targets[chosen]).merits for name, output in outputs.items()}
    found[POOL] = _cross_fitted(session, fitted, targets[chosen], kept)
    if session.average:
        average = objective.average(fitted, session.average)
        found[AVERAGE] = Scores.of(objective, average, targets[chosen]).merits
    single = _best_single(session, found)
    candidates = [name for name in (POOL, FINE_TUNED, FUSED, AVERAGE, single) if name in found]
    asked_for = single if asked == BEST_SINGLE else asked
    if asked_for in found:
        return _answer(asked_for, "asked for in the spec", candidates, found, kept, pool)
    best = max(candidates, key=lambda name: float(found[name].mean()))
    head = best if stands_out(found[best] - found[candidates[0]], kept, SURE) else candidates[0]
    note = "" if asked == "auto" else f"the spec asks for {asked!r}, which this run does not have; "
    reason = (
        f"{note}best on the rows of the choice, and better than {candidates[0]!r} by more than the noise"
        if head != candidates[0]
        else f"{note}no other candidate does better by more than the noise"
    )
    return _answer(head, reason, candidates, found, kept, pool)


def _answer(
    head: str,
    reason: str,
    candidates: Sequence[str],
    found: Mapping[str, Floats],
    groups: NDArray[np.int64] | None,
    pool: dict[str, float],
) -> Answer:
    others = [name for name in candidates if name != head]
    runner_up = max(others, key=lambda name: float(found[name].mean()))
    margin, error = mean_and_error(found[head] - found[runner_up], groups)
    return Answer(head=head, reason=reason, runner_up=runner_up, margin=margin, margin_se=error, pool=pool)


def _only(session: Session, head: str, why: str) -> Answer:
    asked = session.spec.answer
    meant = asked in ("auto", head) or (asked == BEST_SINGLE and head != FUSED)
    note = "" if meant else f"the spec asks for {asked!r}, which this run does not have; "
    return Answer(head=head, reason=f"{note}{why}", runner_up=None, margin=None, margin_se=None, pool={})


def _trained(session: Session) -> list[str]:
    """The heads that may answer: those that have been trained, and the fine-tuned one."""
    heads = [head for head in session.heads if head in session.counters.trained]
    return [*heads, FINE_TUNED] if session.fine_tune is not None else heads


def _best_single(session: Session, found: Mapping[str, Floats]) -> str | None:
    single = [head for head in session.heads if head != FUSED and head in found]
    return max(single, key=lambda name: float(found[name].mean()), default=None)


def _cross_fitted(
    session: Session, outputs: Mapping[str, Tensor], targets: Tensor, groups: NDArray[np.int64] | None
) -> Floats:
    """The pool's merit [N], each row answered with weights that were fitted on the other folds.

    Groups stay whole: weights that were fitted on a speaker know more of him than of the next one.
    """
    rows = len(targets)
    codes = clusters(groups, rows)
    units = rows if codes is None else int(codes.max()) + 1
    folds = min(FOLDS, units)
    fold_of_unit = _rng(session, "folds").permutation(units) % folds
    fold_of = torch.from_numpy(fold_of_unit if codes is None else fold_of_unit[codes])
    merit = np.empty(rows)
    for fold in range(folds):
        held = fold_of == fold
        weights = fit_pool(session.objective, {name: output[~held] for name, output in outputs.items()}, targets[~held])
        pooled = session.objective.pool(
            {name: output[held] for name, output in outputs.items()},
            {name: torch.tensor(weight, dtype=torch.float64) for name, weight in weights.items()},
        )
        merit[held.numpy()] = Scores.of(session.objective, pooled, targets[held]).merits
    return merit


def _sample(session: Session, outputs: Mapping[str, Tensor], targets: Tensor) -> Tensor:
    """Row numbers: all of them, or as many as can be fitted on."""
    width = next(iter(outputs.values())).shape[1]
    most = max(FOLDS, _CELLS // (width * len(outputs)))
    if len(targets) <= most:
        return torch.arange(len(targets))
    return torch.from_numpy(np.sort(_rng(session, "rows").permutation(len(targets))[:most]))


def _outputs(session: Session, module: nn.Module, rows: Rows, heads: Sequence[str]) -> tuple[dict[str, Tensor], Tensor]:
    """Outputs [N, K], 64-bit on the CPU, of each head, and the targets of these rows."""
    parts: dict[str, list[Tensor]] = {name: [] for name in heads}
    targets = []
    batches = session.batches.in_order(rows)
    with measuring(module):
        for batch in batches:
            for name, output in module(batch.inputs, heads).items():
                parts[name].append(output.double().cpu())
            targets.append(batch.targets.cpu())
    return {name: batches.together(found) for name, found in parts.items()}, batches.together(targets)


def _rng(session: Session, purpose: str) -> np.random.Generator:
    return np.random.default_rng(derive(session.spec.seed, "answer", purpose))
