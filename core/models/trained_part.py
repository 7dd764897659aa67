"""Which parameters of a pretrained model are trained: all of them, or its last blocks and what comes after them.

Blocks are the entries of the longest list of modules in the model, not counting lists within lists (stages of a
ConvNeXt have lists of their own) nor, where there are blocks with linear layers, lists of convolutions (wav2vec's).
What comes after is found by calling the model: modules that are called for the first time once the first of the
trained blocks has been.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from core.models.finetuned import PretrainedStem


class BlocksError(ValueError):
    """The model has no such blocks, but so many."""

    def __init__(self, there: int) -> None:
        super().__init__(f"{there} blocks")
        self.there = there


def choose_trained(stem: PretrainedStem, last: int | None) -> tuple[str, ...]:
    """Freezes the rest, and what the features do not depend on; the names of the parts that stay in eval mode.

    `last`: how many blocks are trained; None: everything. Raises BlocksError where there are not so many blocks.
    """
    trained = set(stem.tower.modules()) if last is None else _from_block(stem, last)
    for module in stem.tower.modules():
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad_(module in trained)
    _freeze_unused(stem)
    # A frozen module in a trained block (a normalisation without scale) is in training mode with it.
    return tuple(
        name
        for name, module in stem.named_modules()
        if (name == "tower" or name.startswith("tower."))
        and (module not in trained or isinstance(module, nn.modules.batchnorm._BatchNorm))
    )


def blocks_of(tower: nn.Module) -> nn.ModuleList:
    """The model's blocks, in order. Raises BlocksError where it has none."""
    lists = [(name, module) for name, module in tower.named_modules() if isinstance(module, nn.ModuleList)]
    lists = [(name, module) for name, module in lists if any(True for _ in module.parameters())]
    outer = [
        module for name, module in lists if not any(name.startswith(f"{other}.") for other, _ in lists if other != name)
    ]
    of_layers = [module for module in outer if any(isinstance(part, nn.Linear) for part in module.modules())]
    candidates = of_layers or outer
    if not candidates:
        raise BlocksError(0)
    return max(reversed(candidates), key=len)


def _from_block(stem: PretrainedStem, last: int) -> set[nn.Module]:
    """The modules of the last blocks, and those that are called after the first of them has been."""
    blocks = blocks_of(stem.tower)
    if last > len(blocks):
        raise BlocksError(len(blocks))
    first = blocks[len(blocks) - last]
    inside = {part for block in list(blocks)[len(blocks) - last :] for part in block.modules()}
    before: set[nn.Module] = set()
    after: set[nn.Module] = set()
    reached = False

    def called(module: nn.Module, *_: Any) -> None:
        nonlocal reached
        reached = reached or module is first
        if not reached:
            before.add(module)
        elif module not in before:
            after.add(module)

    hooks = [module.register_forward_pre_hook(called) for module in stem.tower.modules()]
    try:
        with torch.no_grad():
            stem.pooled(stem.example())
    finally:
        for hook in hooks:
            hook.remove()
    return inside | after


def _freeze_unused(stem: PretrainedStem) -> None:
    """Parameters that the features do not depend on have no gradient, and are no part of the training."""
    trained = [parameter for parameter in stem.tower.parameters() if parameter.requires_grad]
    with torch.enable_grad():
        found = torch.autograd.grad(stem.pooled(stem.example()).sum(), trained, allow_unused=True) if trained else ()
    for parameter, gradient in zip(trained, found, strict=True):
        parameter.requires_grad_(gradient is not None)
