"""The built-in encoders: small, and quick on a CPU. Input per sample as in `core.data.ModalityInfo`; output [B, F].

Each is a *stem*, which ends in one vector [B, H] per sample, and a *last layer*, H to F. Late fusion joins what the
last layers give; fusion in the middle joins what the stems give (`core.models.fusion`).

Shape letters: B = batch, C = channels, H = width of a stem's vector (of an image: its height), W = width or frames,
S = steps of a series, D = length of a vector, F = features.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.data.dataset import ModalityInfo
from core.spec.data import BUILTIN_FOR, BuiltinEncoder, PretrainedEncoder

if TYPE_CHECKING:
    from core.models.finetuned import PretrainedStem

_WIDTHS = (16, 32, 64)
_WORD_WIDTH, _PHRASES = 64, 128
_GRID = 8
"""The CNN's last map is averaged to at most so many cells a side before it is projected."""

_VIDEO_GRID = 4
"""The same of a video's, per frame."""


class ConvStem(nn.Module):
    """Three 3x3 convolutions of stride 2 over [B, C, H, W], then the mean over a coarse grid: [B, 64 * cells]."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        channels, height, width = shape
        blocks: list[nn.Module] = []
        for out in _WIDTHS:
            blocks += [nn.Conv2d(channels, out, kernel_size=3, stride=2, padding=1), nn.ReLU()]
            channels, height, width = out, math.ceil(height / 2), math.ceil(width / 2)
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AvgPool2d((_cell(height), _cell(width)), ceil_mode=True, count_include_pad=False)
        self.width = channels * math.ceil(height / _cell(height)) * math.ceil(width / _cell(width))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, 64 * cells]"""
        pooled: Tensor = self.pool(self.blocks(x))
        return pooled.flatten(1)


class VideoStem(nn.Module):
    """Three blocks over [B, T, C, H, W], each a 3x3 convolution of stride 2 within a frame and one of length 3 over
    time (factorised as by Tran et al., CVPR 2018, arXiv 1711.11248); then the mean over a coarse grid, and the mean
    and the maximum of that over time: [B, 128 * cells].

    Convolutions over time come before time is averaged away: forwards and backwards show the same frames.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        _, channels, height, width = shape
        blocks: list[nn.Module] = []
        for out in _WIDTHS:
            blocks += [nn.Conv3d(channels, out, kernel_size=(1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)), nn.ReLU()]
            blocks += [nn.Conv3d(out, out, kernel_size=(3, 1, 1), padding=(1, 0, 0)), nn.ReLU()]
            channels, height, width = out, math.ceil(height / 2), math.ceil(width / 2)
        self.blocks = nn.Sequential(*blocks)
        cell = (math.ceil(height / _VIDEO_GRID), math.ceil(width / _VIDEO_GRID))
        self.pool = nn.AvgPool2d(cell, ceil_mode=True, count_include_pad=False)
        self.width = 2 * channels * math.ceil(height / cell[0]) * math.ceil(width / cell[1])

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, C, H, W] -> [B, 128 * cells]"""
        maps = self.blocks(x.transpose(1, 2)).transpose(1, 2)
        pooled: Tensor = self.pool(maps.flatten(0, 1)).unflatten(0, maps.shape[:2]).flatten(2)
        return torch.cat([pooled.mean(1), pooled.amax(1)], dim=1)


class SeriesStem(nn.Module):
    """Three convolutions over the steps of [B, S, C], then the mean and the maximum over time: [B, 128]."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        _, channels = shape
        blocks: list[nn.Module] = []
        for out in _WIDTHS:
            blocks += [nn.Conv1d(channels, out, kernel_size=5, stride=2, padding=2), nn.ReLU()]
            channels = out
        self.blocks = nn.Sequential(*blocks)
        self.width = 2 * channels

    def forward(self, x: Tensor) -> Tensor:
        """[B, S, C] -> [B, 128]"""
        series = self.blocks(x.transpose(1, 2))
        return torch.cat([series.mean(2), series.amax(2)], dim=1)


class TextStem(nn.Module):
    """Word embeddings of [B, S] codes, their mean, and the maximum of convolutions over three words: [B, 192].

    The mean is fastText's bag of words (Joulin et al. 2017); the convolution is Kim's (2014). Padding, code 0, counts
    in neither.
    """

    def __init__(self, codes: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(codes, _WORD_WIDTH, padding_idx=0)
        self.dropout = nn.Dropout(dropout)
        self.convolution = nn.Conv1d(_WORD_WIDTH, _PHRASES, kernel_size=3, padding=1)
        self.width = _WORD_WIDTH + _PHRASES

    def forward(self, x: Tensor) -> Tensor:
        """[B, S] -> [B, 192]"""
        codes = x.long()
        there = (codes != 0).unsqueeze(1)
        words = self.dropout(self.embedding(codes)).transpose(1, 2)
        mean = words.sum(2) / there.sum(2).clamp(min=1)
        phrases = functional.relu(self.convolution(words)) * there
        return torch.cat([mean, phrases.amax(2)], dim=1)


class VectorStem(nn.Module):
    """A layer over a vector [B, D] whose last entries may be category codes, which are embedded first: [B, F]."""

    def __init__(self, shape: tuple[int, ...], features: int, dropout: float, categories: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.numbers = shape[0] - len(categories)
        widths = [min(32, 1 + round(size**0.5)) for size in categories]
        self.embeddings = nn.ModuleList(
            nn.Embedding(size, width) for size, width in zip(categories, widths, strict=True)
        )
        self.layer = nn.Linear(self.numbers + sum(widths), features)
        self.dropout = nn.Dropout(dropout)
        self.width = features

    def forward(self, x: Tensor) -> Tensor:
        """[B, D] -> [B, F]"""
        parts = [x[:, : self.numbers]]
        parts += [embed(x[:, self.numbers + k].long()) for k, embed in enumerate(self.embeddings)]
        hidden: Tensor = self.dropout(functional.relu(self.layer(torch.cat(parts, dim=1))))
        return hidden


Stem = ConvStem | VideoStem | SeriesStem | TextStem | VectorStem


class LastLayer(nn.Module):
    """What a stem's vector becomes: [B, H] -> [B, F], rectified."""

    def __init__(self, width: int, features: int, dropout: float) -> None:
        super().__init__()
        self.project = nn.Linear(width, features)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor) -> Tensor:
        """[B, H] -> [B, F]"""
        features: Tensor = self.dropout(functional.relu(self.project(hidden)))
        return features


class Encoder(nn.Module):
    """A stem and the last layer."""

    def __init__(self, stem: Stem | PretrainedStem, features: int, dropout: float) -> None:
        super().__init__()
        self.stem = stem
        self.last = LastLayer(stem.width, features, dropout)
        self.width = stem.width

    def forward(self, x: Tensor) -> Tensor:
        """The input of one modality -> [B, F]"""
        features: Tensor = self.last(self.stem(x))
        return features


def build_encoder(info: ModalityInfo, spec: BuiltinEncoder | PretrainedEncoder) -> Encoder:
    """The encoder that `spec` asks for; the spec has made sure that it can read this type of modality.

    Over the features of a frozen model it is a layer as over any vector. (A model that is trained is part of its
    encoder: `core.models.finetuned`.)
    """
    if isinstance(spec, PretrainedEncoder):
        return Encoder(VectorStem(info.shape, spec.features, spec.dropout), spec.features, spec.dropout)
    name = BUILTIN_FOR[info.kind] if spec.name == "auto" else spec.name
    stem: Stem
    if info.kind == "video":
        stem = VideoStem(info.shape)
    elif name == "cnn":
        stem = ConvStem(info.shape)
    elif name == "tcn":
        stem = SeriesStem(info.shape)
    elif name == "textcnn":
        stem = TextStem(info.categories[0], spec.dropout)
    else:
        stem = VectorStem(info.shape, spec.features, spec.dropout, info.categories)
    return Encoder(stem, spec.features, spec.dropout)


def _cell(side: int) -> int:
    return math.ceil(side / _GRID)
