"""The strategies that are compared: what each changes in a job spec, as a JSON merge patch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

Patch = dict[str, Any]

DEFAULT = "gblend"
"""The service's default recipe, a spec that says nothing about blending: online, `gradient`, bounded weights."""
REFERENCE = "naive"
_ESTIMATED: Patch = {"estimator": {"type": "exact"}}
_RAW: Patch = {"floor": 0.0, "cap_noise": False}
"""A policy's weights as they are."""
_HALF = 10
"""Epochs of the pre-training, out of 20 in all: the budget is the same for every strategy."""


def strategies(modalities: Sequence[str]) -> Iterator[tuple[str, Patch]]:
    """(name, patch) of every strategy, the simplest first."""
    for name in sorted(modalities):
        yield f"unimodal:{name}", {"blending": {"strategy": "unimodal", "modality": name}}
    yield "ensemble", {"blending": {"strategy": "ensemble"}}
    yield REFERENCE, _naive()
    yield "naive, last epoch", _naive(training={"keep": "last"})
    yield "naive, dropout", _naive(model={"dropout": 0.5})
    yield "naive, early stopping", _naive(training={"early_stopping": {"patience": 3}})
    yield "naive, pre-trained", _naive(training={"pretrain_epochs": _HALF, "epochs": _HALF})
    for fusion in ("mid_concat", "se_gate", "nl_gate"):
        yield f"naive, {fusion}", _naive(model={"fusion": fusion})
    yield "uncertainty", {"blending": {"strategy": "uncertainty"}}
    yield "ogm_ge", {"blending": {"strategy": "ogm_ge"}}
    yield "mmpareto", {"blending": {"strategy": "mmpareto"}}
    yield "equal", {"blending": {"strategy": "equal"}}
    yield "offline, paper", _offline(policy="paper")
    yield "offline, floor", _offline()
    yield "online, paper", _online(policy="paper")
    yield "online, shrunk", _online(policy="shrunk")
    yield "online, correlated", _online(policy="correlated")
    yield "online, floor, exact", _online()
    yield "online, floor, exact on half of T", _online(estimator={"type": "exact", "subset": 0.5})
    yield "online, floor, trajectory", _online(estimator={"type": "trajectory"})
    yield f"{DEFAULT}, last epoch", {"training": {"keep": "last"}}
    yield DEFAULT, {}


RANDOM_V = (REFERENCE, "equal", "offline, paper", "offline, floor", "online, paper", DEFAULT)
"""Those that are run again with a V that ignores groups."""


def _naive(**parts: Patch) -> Patch:
    return {"blending": {"strategy": "naive"}, **parts}


def _offline(**parts: Any) -> Patch:
    return {"blending": {"strategy": "offline", **_ESTIMATED, **(_RAW if "policy" in parts else {}), **parts}}


def _online(**parts: Any) -> Patch:
    """Four super-epochs of five epochs; without a policy named here, the default one with its bounds."""
    lengths = {"super_epochs": {"first": 5, "later": 5}}
    bounds = _RAW if "policy" in parts else {}
    return {"blending": {"strategy": "online", **lengths, **_ESTIMATED, **bounds, **parts}}
