"""The built-in encoders: small, and quick on a CPU. Input per sample as in `core.data.ModalityInfo`; output [B, F].

Shape letters: B = batch, C = channels, H = height or mel bands, W = width or frames, S = steps of a series,
D = length of a vector, F = features.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.data.dataset import ModalityInfo
from core.spec.data import BUILTIN_FOR, BuiltinEncoder

_WIDTHS = (16, 32, 64)
_GRID = 8
"""The CNN's last map is averaged to at most so many cells a side before it is projected."""


class ConvEncoder(nn.Module):
    """Three 3x3 convolutions of stride 2 over [B, C, H, W], mean over a coarse grid, one projection."""

    def __init__(self, shape: tuple[int, ...], features: int, dropout: float) -> None:
        super().__init__()
        channels, height, width = shape
        blocks: list[nn.Module] = []
        for out in _WIDTHS:
            blocks += [nn.Conv2d(channels, out, kernel_size=3, stride=2, padding=1), nn.ReLU()]
            channels, height, width = out, math.ceil(height / 2), math.ceil(width / 2)
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AvgPool2d((_cell(height), _cell(width)), ceil_mode=True, count_include_pad=False)
        cells = math.ceil(height / _cell(height)) * math.ceil(width / _cell(width))
        self.project = nn.Linear(channels * cells, features)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, F]"""
        features: Tensor = self.dropout(functional.relu(self.project(self.pool(self.blocks(x)).flatten(1))))
        return features


class SeriesEncoder(nn.Module):
    """Three convolutions over the steps of [B, S, C]; the mean and the maximum over time are projected."""

    def __init__(self, shape: tuple[int, ...], features: int, dropout: float) -> None:
        super().__init__()
        _, channels = shape
        blocks: list[nn.Module] = []
        for out in _WIDTHS:
            blocks += [nn.Conv1d(channels, out, kernel_size=5, stride=2, padding=2), nn.ReLU()]
            channels = out
        self.blocks = nn.Sequential(*blocks)
        self.project = nn.Linear(2 * channels, features)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """[B, S, C] -> [B, F]"""
        series = self.blocks(x.transpose(1, 2))
        pooled = torch.cat([series.mean(2), series.amax(2)], dim=1)
        features: Tensor = self.dropout(functional.relu(self.project(pooled)))
        return features


class VectorEncoder(nn.Module):
    """Two layers over a vector [B, D] whose last entries may be category codes, which are embedded first."""

    def __init__(self, shape: tuple[int, ...], features: int, dropout: float, categories: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.numbers = shape[0] - len(categories)
        widths = [min(32, 1 + round(size**0.5)) for size in categories]
        self.embeddings = nn.ModuleList(
            nn.Embedding(size, width) for size, width in zip(categories, widths, strict=True)
        )
        self.layers = nn.Sequential(
            nn.Linear(self.numbers + sum(widths), features),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(features, features),
            nn.ReLU(),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, D] -> [B, F]"""
        parts = [x[:, : self.numbers]]
        parts += [embed(x[:, self.numbers + k].long()) for k, embed in enumerate(self.embeddings)]
        features: Tensor = self.layers(torch.cat(parts, dim=1))
        return features


def build_encoder(info: ModalityInfo, spec: BuiltinEncoder) -> nn.Module:
    """The encoder that `spec` asks for; the spec has made sure that it can read this type of modality."""
    name = BUILTIN_FOR[info.kind] if spec.name == "auto" else spec.name
    if name == "cnn":
        return ConvEncoder(info.shape, spec.features, spec.dropout)
    if name == "tcn":
        return SeriesEncoder(info.shape, spec.features, spec.dropout)
    return VectorEncoder(info.shape, spec.features, spec.dropout, info.categories)


def _cell(side: int) -> int:
    return math.ceil(side / _GRID)
