"""The state of a module without its frozen parameters, which are the pretrained model's own in every copy of it.

A checkpoint need not hold them: the data set's fingerprint names the files that they came from.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn


def moving_state(module: nn.Module) -> dict[str, Tensor]:
    """Parameters that are trained, and buffers."""
    frozen = _frozen(module)
    return {name: value for name, value in module.state_dict().items() if name not in frozen}


def load_moving(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """The inverse of `moving_state`; RuntimeError where it is that of another module."""
    missing, unexpected = module.load_state_dict(state, strict=False)
    if unexpected or (lacking := set(missing) - _frozen(module)):
        raise RuntimeError(f"unknown: {sorted(unexpected)}" if unexpected else f"missing: {sorted(lacking)}")


def _frozen(module: nn.Module) -> set[str]:
    every = module.named_parameters(remove_duplicate=False)
    return {name for name, parameter in every if not parameter.requires_grad}
