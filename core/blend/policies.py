"""G and O -> weights (paper, Proposition 1 and Algorithm 1): the policies that a spec can name.

The printed normaliser `Z = sum_k <grad L*, v_k> / (2 sigma_k^2)` would make the weights sum to 2, against the paper's
own constraint and every weight set in its tables; here they are normalised by the plain sum.

Shape letters: K heads on the last axis; leading axes (bootstrap draws) are free.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.blend.active_set import least_ratio

Floats = NDArray[np.float64]

POLICIES = ("paper", "shrunk", "correlated")


def policy_weights(policy: str, G: Floats, O: Floats, O_se: Floats, O_cov: Floats | None = None) -> Floats:
    """Weights [..., K] of a named policy for G, O and SE(O) of that shape; a row of zeros where no G is positive.

    `O_cov` [..., K, K] is the sampling covariance of O between heads, with SE(O)^2 on its diagonal; only `correlated`
    reads it, and takes it as 0 off the diagonal where it is left out. Raises KeyError for an unknown policy.
    """
    if policy == "paper":
        return paper(G, O)
    if policy == "shrunk":
        return shrunk(G, O, O_se)
    if policy == "correlated":
        return correlated(G, O, O_se, O_cov)
    raise KeyError(policy)


def paper(G: Floats, O: Floats) -> Floats:
    """`w_k ~ G_k / O_k^2` (Algorithm 1). Negative G gives 0, never `abs`."""
    return _share(G, np.abs(O))


def shrunk(G: Floats, O: Floats, O_se: Floats) -> Floats:
    """`w_k ~ max(G_k, 0) / (O_k^2 + SE(O_k)^2)`: an O that happens to be near 0 within its noise buys no weight."""
    return _share(G, np.hypot(O, O_se))


def correlated(G: Floats, O: Floats, O_se: Floats, O_cov: Floats | None = None) -> Floats:
    """`w ~ Sigma^-1 g` under `w >= 0` (Proposition 1, correlated), `Sigma = O O' + Cov(O^)`, `g = max(G, 0)`.

    Sigma is the second moment of the heads' overfitting, as far as one estimate shows it: what was seen, and how it
    would vary. `shrunk` is exactly its diagonal case: Sigma_kk = O_k^2 + SE(O_k)^2. The weights minimise the blend's
    OGR^2, `w'Sigma w / (g'w)^2`, over w >= 0, exactly. A head with g = 0 has weight 0, as in every policy, though a
    negative covariance could make it a hedge for the others.

    Where O stands far out of its noise, O O' rules, and heads that all overfit are all but perfectly correlated in it:
    the optimum then lies at or near a corner, the head of best G / O. That is what the formula says, not a fault of the
    solver, and the reason why `correlated` is not the default.
    """
    root = np.hypot(O, O_se)
    usable = np.isfinite(G) & np.isfinite(root) & (G > 0.0)
    bounded = usable & (root > 0.0)
    scale = np.where(bounded, root, 1.0)
    # In units of each head's own root the matrix has a unit diagonal: nothing overflows, and K heads are alike.
    o = np.where(bounded, O, 0.0) / scale
    R = o[..., :, None] * o[..., None, :]
    if O_cov is not None:
        both = bounded[..., :, None] & bounded[..., None, :]
        R = R + np.where(both, O_cov, 0.0) / scale[..., :, None] / scale[..., None, :]
    K = G.shape[-1]
    R = np.where(np.eye(K, dtype=np.bool_), 1.0, R)
    log_scale = np.log(scale)
    g = _exponential(np.where(bounded, np.log(np.where(bounded, G, 1.0)) - log_scale, -np.inf))
    u = least_ratio(R.reshape(-1, K, K), g.reshape(-1, K)).reshape(G.shape)
    raw = _exponential(np.where(u > 0.0, np.log(np.where(u > 0.0, u, 1.0)) - log_scale, -np.inf))
    # A head with gain whose Sigma_kk is 0 overfits nothing, for sure: the limit is that of the diagonal case.
    perfect = (usable & (root == 0.0)).any(axis=-1, keepdims=True)
    return np.where(perfect, _share(G, root), _normalised(raw))


def _share(G: Floats, root: Floats) -> Floats:
    """`max(G, 0) / root^2`, normalised over the last axis, without overflow.

    Where `root` is 0 for heads with positive gain, the limit is taken: those heads share the whole weight in proportion
    to their gains. Rows without a positive gain stay 0. Heads that are not finite count as not positive.
    """
    usable = np.isfinite(G) & np.isfinite(root) & (G > 0.0)
    gain = np.where(usable, G, 0.0)
    perfect = usable & (root == 0.0)
    with np.errstate(divide="ignore"):
        logs = np.where(usable & ~perfect, np.log(gain) - 2.0 * np.log(np.where(root > 0.0, root, 1.0)), -np.inf)
    raw = np.where(perfect.any(axis=-1, keepdims=True), np.where(perfect, gain, 0.0), _exponential(logs))
    return _normalised(raw)


def _exponential(logs: Floats) -> Floats:
    """`exp(logs)` up to a factor of each row: the largest is 1; -inf gives 0."""
    top = np.max(logs, axis=-1, keepdims=True)
    found: Floats = np.where(np.isfinite(logs), np.exp(logs - np.where(np.isfinite(top), top, 0.0)), 0.0)
    return found


def _normalised(raw: Floats) -> Floats:
    total = raw.sum(axis=-1, keepdims=True)
    shares: Floats = np.divide(raw, total, out=np.zeros_like(raw), where=total > 0.0)
    return shares
