"""Random variations of the samples in a training batch (`augment` of a modality), on the device that trains.

They belong to optimisation steps alone. `Batches.shuffled`, the one place where a batch to step on is made, asks for
them; `Batches.in_order`, where everything that is measured comes from, has no way to.

What is drawn follows from the seed of the pass (that of the job, of the epoch and of what the pass is for), the
batch's place in it and the modality's name, and from nothing else. It is drawn for the whole batch, on the CPU, by a
generator of its own, so that

- a pass that is taken up in its middle goes on with the same bits;
- several processes, of which each takes its rows of what was drawn, train on what one would have;
- an estimate for one head alone sees what it would have seen beside the others;
- no other stream of randomness moves, and without augmentation none is begun.

Shape letters: B = this process's rows, N = rows of the whole batch, C = channels, H, W = height and width, M = mel
bands, T = frames or steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from core.data.modalities.base import presence_of
from core.models.seeding import derive
from core.spec.augmentation import AudioAugment, Augment, ImageAugment, TimeseriesAugment
from core.spec.data import AudioModality, DatasetSpec, ImageModality, TimeseriesModality

_NARROWEST, _WIDEST = 0.3, 1 / 0.3
"""Height over width of an erased rectangle, as in Zhong et al. 2020."""


class Draws:
    """Random numbers for the B rows that a process has of a batch of N; all processes draw all, and take their own."""

    def __init__(self, seed: int, rows: int, own: slice) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._rows = rows
        self._own = own

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """`[B, *shape]` from low (included) to high, in 64-bit."""
        drawn = torch.rand(self._rows, *shape, generator=self._generator, dtype=torch.float64)
        return (low + (high - low) * drawn)[self._own]

    def normal(self, *shape: int) -> Tensor:
        """`[B, *shape]`, standard normal, in 32-bit."""
        return torch.randn(self._rows, *shape, generator=self._generator)[self._own]

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """`[B, *shape]` whole numbers from low to high, both included."""
        return torch.randint(low, high + 1, (self._rows, *shape), generator=self._generator)[self._own]


class Augmentation:
    """What the modalities of a job asked for; those that asked for nothing are left alone."""

    def __init__(self, asked: Mapping[str, Augment]) -> None:
        """`asked`: modality -> its settings."""
        self._asked = {name: augment for name, augment in asked.items() if augment != type(augment)()}

    @classmethod
    def of(cls, dataset: DatasetSpec) -> Augmentation:
        """That of a data set's modalities."""
        kinds = ImageModality | AudioModality | TimeseriesModality
        return cls({each.name: each.augment for each in dataset.modalities if isinstance(each, kinds)})

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._asked)

    def __call__(self, inputs: Mapping[str, Tensor], *, seed: int, rows: int, own: slice) -> dict[str, Tensor]:
        """The inputs of a batch (`Batch.inputs`) varied; what needs no change is the very same tensor.

        `seed` is that of the batch; `rows` the number of the whole one's, of which these inputs are `own`. A sample
        that lacks a modality keeps its placeholder.
        """
        found = dict(inputs)
        for name, augment in self._asked.items():
            if name not in inputs or len(inputs[name]) == 0:
                continue  # a process for another head, or one that has no row of a small batch
            x = augmented(inputs[name], augment, Draws(derive(seed, name), rows, own))
            present = inputs.get(presence_of(name))
            if present is not None:
                x = torch.where(_beside(present != 0.0, x, 0), x, inputs[name])
            found[name] = x
        return found


def augmented(x: Tensor, augment: Augment, draws: Draws) -> Tensor:
    """A modality's samples `[B, ...]` varied as `augment` asks; the same tensor where it asks for nothing."""
    match augment:
        case ImageAugment():
            return _image(x, augment, draws)
        case AudioAugment():
            return _audio(x, augment, draws)
        case TimeseriesAugment():
            return _timeseries(x, augment, draws)


def _image(x: Tensor, augment: ImageAugment, draws: Draws) -> Tensor:
    """[B, C, H, W]"""
    height, width = x.shape[2:]
    if augment.flip:
        x = mirrored(x, draws.integers(0, 1) == 1)
    if augment.rotate:
        x = rotated(x, draws.uniform(-augment.rotate, augment.rotate))
    if augment.shift:
        for dim, side in ((2, height), (3, width)):
            most = round(augment.shift * side)
            x = moved(x, draws.integers(-most, most), dim, around=False)
    if augment.contrast:
        factor = draws.uniform(1.0 - augment.contrast, 1.0 + augment.contrast)
        mean = x.mean(dim=(2, 3), keepdim=True)
        x = mean + _beside(factor, x, 0) * (x - mean)
    if augment.brightness:
        x = x + _beside(draws.uniform(-augment.brightness, augment.brightness), x, 0)
    if augment.erase:
        area = draws.uniform(0.0, augment.erase * height * width)
        ratio = draws.uniform(math.log(_NARROWEST), math.log(_WIDEST)).exp()
        inside = torch.ones((), dtype=torch.bool, device=x.device)
        for dim, side, length in ((2, height, (area * ratio).sqrt()), (3, width, (area / ratio).sqrt())):
            taken = length.round().long().clamp(max=side)[:, None]
            inside = inside & _beside(stretches(taken, draws.uniform(0.0, 1.0, 1), side), x, 0, dim)
        x = x.masked_fill(inside, 0.0)
    return x


def _audio(x: Tensor, augment: AudioAugment, draws: Draws) -> Tensor:
    """[B, 1, M, T]"""
    if augment.shift:
        most = round(augment.shift * x.shape[3])
        x = moved(x, draws.integers(-most, most), 3, around=True)
    x = _masked(x, augment.time_masks, augment.time_width, 3, draws)
    return _masked(x, augment.frequency_masks, augment.frequency_width, 2, draws)


def _timeseries(x: Tensor, augment: TimeseriesAugment, draws: Draws) -> Tensor:
    """[B, T, C]"""
    steps, channels = x.shape[1:]
    if augment.shift:
        most = round(augment.shift * steps)
        x = moved(x, draws.integers(-most, most), 1, around=True)
    if augment.scale:
        x = x * _beside(1.0 + augment.scale * draws.normal(channels), x, 0, 2)
    if augment.jitter:
        noise = augment.jitter * draws.normal(steps, channels)
        x = x + noise.to(x.device) * (x != 0.0).any(dim=2, keepdim=True)
    return _masked(x, augment.time_masks, augment.time_width, 1, draws)


def mirrored(x: Tensor, which: Tensor) -> Tensor:
    """[B, ..., W] with the samples that `which` [B] names back to front along W."""
    return torch.where(_beside(which, x, 0), x.flip(-1), x)


def rotated(x: Tensor, degrees: Tensor) -> Tensor:
    """[B, C, H, W] turned counter-clockwise about its centre by `degrees` [B]; 0 comes in at the corners."""
    height, width = x.shape[2:]
    angle = torch.deg2rad(degrees)
    sine, cosine, zero = angle.sin(), angle.cos(), torch.zeros_like(angle)
    # affine_grid counts from -1 to 1 on either side, whichever is longer.
    first = torch.stack([cosine, -sine * height / width, zero], dim=1)
    second = torch.stack([sine * width / height, cosine, zero], dim=1)
    places = torch.stack([first, second], dim=1).to(x.device, x.dtype)
    grid = functional.affine_grid(places, list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def moved(x: Tensor, by: Tensor, dim: int, *, around: bool) -> Tensor:
    """`x` [B, ...] with sample b moved by `by[b]` places towards the end of dimension `dim`.

    What leaves at one end comes in at the other where it goes `around`, and 0 otherwise.
    """
    size = x.shape[dim]
    origin = torch.arange(size) - by[:, None]
    index = _beside(origin % size, x, 0, dim).expand_as(x)
    found = x.gather(dim, index)
    return found if around else found.masked_fill(_beside((origin < 0) | (origin >= size), x, 0, dim), 0.0)


def stretches(widths: Tensor, places: Tensor, size: int) -> Tensor:
    """[B, size]: what lies in one of K stretches of `widths` [B, K] places, each up to `size`.

    `places` [B, K], from 0 to below 1, say where: a stretch is anywhere that it fits as a whole.
    """
    starts = (places * (size - widths + 1)).floor()[..., None]
    at = torch.arange(size)
    return ((at >= starts) & (at < starts + widths[..., None])).any(dim=1)


def _masked(x: Tensor, count: int, fraction: float, dim: int, draws: Draws) -> Tensor:
    """`x` with `count` stretches of dimension `dim` set to 0, each up to a fraction of it wide (1 at least)."""
    if not count:
        return x
    size = x.shape[dim]
    widths = draws.integers(0, max(1, round(fraction * size)), count)
    return x.masked_fill(_beside(stretches(widths, draws.uniform(0.0, 1.0, count), size), x, 0, dim), 0.0)


def _beside(values: Tensor, x: Tensor, *dims: int) -> Tensor:
    """`values`, whose dimensions are these of `x`, with ones in between, where `x` is; floats in its precision."""
    shape = [1] * x.dim()
    for dim, size in zip(dims, values.shape, strict=True):
        shape[dim] = size
    placed = values.reshape(shape).to(x.device)
    return placed.to(x.dtype) if placed.is_floating_point() else placed
