"""How the fused head joins the modalities: late concatenation, and the fusions that the paper compares it with.

Each fused head reads one tensor, the encoders' outputs side by side in the order of the sorted modalities, and gives
logits. Its fusion is a part of it: whoever copies, trains or stores the head has the fusion as well, and encoders that
are frozen can hand it what they computed once. Sources:

`concat`      late concatenation: Wang, Tran, Feiszli, "What makes training multi-modal classification networks hard?",
              CVPR 2020 (arXiv 1905.12681), section 2.1.
`mid_concat`  the same paper's "mid-concat": the modalities meet before the encoders' last layers.
`se_gate`     Hu, Shen, Sun, "Squeeze-and-Excitation Networks", CVPR 2018 (arXiv 1709.01507), as the paper's SE-gate.
`nl_gate`     Wang, Girshick, Gupta, He, "Non-local Neural Networks", CVPR 2018 (arXiv 1711.07971), as its NL-gate.

Shape letters: B = batch, M = modalities, J = joined width, D = width of a token, K = classes.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.models.heads import Head
from core.spec.recipe import ModelSpec

_REDUCTION = 16
"""How much narrower the bottleneck of the SE gate is than what it gates (Hu et al., section 6.4)."""


class Gated(nn.Module):
    """A module that reshapes or gates the joined vector, and the head behind it: [B, J] -> [B, K]."""

    def __init__(self, fusion: nn.Module, head: Head) -> None:
        super().__init__()
        self.fusion = fusion
        self.head = head

    def forward(self, joined: Tensor) -> Tensor:
        """[B, J] -> [B, K]"""
        logits: Tensor = self.head(self.fusion(joined))
        return logits


class JointLayer(nn.Module):
    """One layer over what all stems give, in the place of the encoders' last layers: [B, J] -> [B, sum of F]."""

    def __init__(self, width: int, features: int) -> None:
        super().__init__()
        self.project = nn.Linear(width, features)

    def forward(self, joined: Tensor) -> Tensor:
        """[B, J] -> [B, sum of F]"""
        return functional.relu(self.project(joined))


class SqueezeExcitation(nn.Module):
    """`x * sigmoid(W2 relu(W1 x))` (Hu et al., Eq. 3 and 4), with all modalities in one gate: [B, J] -> [B, J].

    The features of late fusion are one number per channel already, so there is nothing left to squeeze (their Eq. 2).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(width, max(1, width // _REDUCTION))
        self.excite = nn.Linear(max(1, width // _REDUCTION), width)

    def forward(self, joined: Tensor) -> Tensor:
        """[B, J] -> [B, J]"""
        return joined * torch.sigmoid(self.excite(functional.relu(self.squeeze(joined))))


class NonLocal(nn.Module):
    """A non-local block whose positions are the M modalities: [B, J] -> [B, M * D].

    With tokens x_i, in the embedded Gaussian form (Wang et al., Eq. 1, 4 and 6):

        y_i = sum_j softmax_j(<theta x_i, phi x_j>) g(x_j),    z_i = W y_i + x_i

    theta, phi and g halve the width. W starts at 0, as there: a block that does nothing yet. Tokens must be equally
    wide: a modality that is narrower than the widest is brought to that width by a linear layer.
    """

    def __init__(self, widths: Mapping[str, int]) -> None:
        super().__init__()
        self.widths = tuple(widths.values())
        token = max(self.widths)
        inner = max(1, token // 2)
        self.widen = nn.ModuleList(
            nn.Identity() if width == token else nn.Linear(width, token, bias=False) for width in self.widths
        )
        self.theta = nn.Linear(token, inner)
        self.phi = nn.Linear(token, inner)
        self.g = nn.Linear(token, inner)
        self.out = nn.Linear(inner, token)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        self.width = token * len(self.widths)

    def forward(self, joined: Tensor) -> Tensor:
        """[B, J] -> [B, M * D]"""
        parts = joined.split_with_sizes(self.widths, dim=1)
        x_BMD = torch.stack([widen(part) for widen, part in zip(self.widen, parts, strict=True)], dim=1)
        attention_BMM = torch.softmax(self.theta(x_BMD) @ self.phi(x_BMD).transpose(1, 2), dim=2)
        z_BMD: Tensor = self.out(attention_BMM @ self.g(x_BMD)) + x_BMD
        return z_BMD.flatten(1)


def build_fused_head(
    model: ModelSpec, *, joined: Mapping[str, int], features: Mapping[str, int], classes: int
) -> nn.Module:
    """The fused head of a spec: [B, J] -> [B, K].

    `joined` is what each encoder hands to the fusion and `features` the length of its feature vector, both by sorted
    modality; they differ for `mid_concat` alone.
    """
    width = sum(joined.values())
    if model.fusion == "mid_concat":
        total = sum(features.values())
        return Gated(JointLayer(width, total), _head(model, total, classes))
    if model.fusion == "se_gate":
        return Gated(SqueezeExcitation(width), _head(model, width, classes))
    if model.fusion == "nl_gate":
        block = NonLocal(joined)
        return Gated(block, _head(model, block.width, classes))
    return _head(model, width, classes)


def _head(model: ModelSpec, width: int, classes: int) -> Head:
    return Head(width, classes, hidden=model.hidden, dropout=model.dropout)
