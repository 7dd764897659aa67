"""A weighted average of heads whose weights are fitted: the logarithmic opinion pool.

`log p(y|x) = sum_h a_h log p_h(y|x) - log Z(x)` with `a_h >= 0` (C. Genest, J. V. Zidek, "Combining probability
distributions", Statistical Science 1986, 1(1)). It multiplies what the heads say where a mixture adds it, so heads that
err on different samples correct each other, and the size of `a` repairs over-confidence (temperature scaling is the
case of one head: C. Guo et al., ICML 2017). With `a = 1/H` it is the plain average of log-probabilities.

The weights are fitted by maximum a posteriori on rows that no head was trained on. The likelihood is log-concave in
`a`, so the fit is a convex problem in as many unknowns as there are heads.

Shape letters: N = rows, K = outputs, H = heads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.autograd.functional import hessian, jacobian

from core.training.objective import Objective

_Function = Callable[[Tensor], Tensor]

PRIOR_SPREAD = 0.2
"""Standard deviation of the prior of each weight around 1/H, in the unit of the weights: a dozen rows say little, a
few hundred decide."""
_ITERATIONS = 100
_TOLERANCE = 1e-10
_BACKTRACKS = 40


def fit_pool(objective: Objective, outputs: Mapping[str, Tensor], targets: Tensor) -> dict[str, float]:
    """Weights a [H] >= 0 by head that minimise the mean loss of the pool plus the prior's term.

    `outputs` [N, K] by head and `targets` are of the same rows. The prior is `a_h ~ N(1/H, PRIOR_SPREAD^2)`; its
    weight against the data is what Bayes' rule gives it: 1/N, in nats. Without a row it is all that is known.
    """
    names = sorted(outputs)
    stacked = {name: outputs[name].double() for name in names}
    prior = torch.full((len(names),), 1.0 / len(names), dtype=torch.float64)
    rows = len(targets)
    strength = 1.0 / (PRIOR_SPREAD**2 * rows * objective.nats(stacked, targets)) if rows else 0.0

    def value(weights: Tensor) -> Tensor:
        pooled = objective.pool(stacked, dict(zip(names, weights, strict=True)))
        return objective.losses(pooled, targets).mean() + 0.5 * strength * ((weights - prior) ** 2).sum()

    found = _minimise(value, prior.clone()) if rows else prior
    return dict(zip(names, found.tolist(), strict=True))


def _minimise(value: _Function, start: Tensor) -> Tensor:
    """Projected Newton method for a convex function over the non-negative orthant (Bertsekas, SIAM J. Control 1982)."""
    now = start
    for _ in range(_ITERATIONS):
        gradient: Tensor = jacobian(value, now)  # type: ignore[no-untyped-call]
        free = (now > 0.0) | (gradient < 0.0)
        if float((gradient * free).abs().max()) < _TOLERANCE:
            break
        curvature: Tensor = hessian(value, now)  # type: ignore[no-untyped-call]
        step = torch.zeros_like(now)
        step[free] = _solve(curvature[free][:, free], gradient[free])
        following = _backtrack(value, now, step, gradient)
        if following is None:
            break
        now = following
    return now


def _solve(curvature: Tensor, gradient: Tensor) -> Tensor:
    """The Newton step [F]; the shortest one where heads that say the same, beyond all measure, drown the prior."""
    step: Tensor
    step, refused = torch.linalg.solve_ex(curvature, gradient)
    if int(refused) and bool(curvature.isfinite().all()):
        step = torch.linalg.pinv(curvature, hermitian=True) @ gradient
    return step


def _backtrack(value: _Function, now: Tensor, step: Tensor, gradient: Tensor) -> Tensor | None:
    """The first of the halved steps that lowers the function enough (Armijo); `None` where none does."""
    before = value(now)
    length = 1.0
    for _ in range(_BACKTRACKS):
        candidate = (now - length * step).clamp(min=0.0)
        if value(candidate) <= before - 1e-4 * torch.dot(gradient, now - candidate) and not torch.equal(candidate, now):
            return candidate
        length /= 2.0
    return None
