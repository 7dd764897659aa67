"""A pretrained model of `transformers` that is trained with the rest, as the stem of an encoder.

What comes out is pooled as a frozen model's is (`core.models.pretrained`), and the layer over it is the same. What
differs: a batch goes through it together, so texts and sounds are padded, and what is padded counts nowhere.

`last_n:K` trains the last K blocks and whatever is called after the first of them; `all` trains everything. Either way
parameters that the features do not depend on (poolers, mask tokens) are frozen: they would have no gradient. What is
frozen stays in eval mode; so does every batch normalisation, whose statistics stay the pretrained ones: an estimate's
copies, and the processes of a job, would each go their own way with them.

Attention is computed step by step, not by a fused kernel: those cannot be differentiated forwards, which the gradient
estimator does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from core.data.blocks import too_few_blocks
from core.data.dataset import ModalityInfo
from core.data.modalities.base import State
from core.data.pretrained import encoder_error, no_class_token
from core.data.tuning import Tuned
from core.errors import DataError
from core.models.encoders import Encoder, VectorStem
from core.models.pretrained import library, load_tower, pooled, told_by, tower_of
from core.models.trained_part import BlocksError, choose_trained
from core.spec.data import PretrainedEncoder

_AT_ONCE = 32
"""Samples that go through the model together where nothing is learnt from them: measuring has large batches."""
_OFF = {
    "layerdrop": 0.0,
    "encoder_layerdrop": 0.0,
    "decoder_layerdrop": 0.0,
    "apply_spec_augment": False,
    "mask_ratio": 0.0,
    "use_cache": False,
}
"""What would leave parameters without a gradient now and then, or draws from a generator that no seed of ours rules."""


class PretrainedStem(nn.Module):
    """A model, the mean over what it says of a sample's tokens, patches or steps, and the layer over that: [B, F]."""

    def __init__(self, tower: nn.Module, info: ModalityInfo, spec: PretrainedEncoder, pointer: str = "#") -> None:
        super().__init__()
        self._first_token = spec.pooling == "cls"
        self._pointer = pointer
        self.tower = tower
        self._kind = info.kind
        self._shape = info.shape
        self._by_frame = info.kind == "video" and not hasattr(tower.config, "num_frames")
        self._takes: str = getattr(tower, "main_input_name", "input_features")
        pad = getattr(tower.config, "pad_token_id", None)
        self._pad = 0 if pad is None else int(pad)
        # Where the first layer normalises over time, padding counts: then it must be the same in every batch.
        self._cuts_waves = getattr(tower.config, "feat_extract_norm", None) == "layer"
        self._resting: tuple[str, ...] = ()
        with torch.no_grad():
            hidden = self.pooled(self.example())
        self.layer = VectorStem((hidden.shape[1],), spec.features, spec.dropout)
        self.width = self.layer.width

    def forward(self, x: Tensor) -> Tensor:
        """The inputs of one modality (`core.data.modalities.prepared`) -> [B, F]"""
        if not len(x):  # gradients of 0, where other processes have rows
            none: Tensor = self.layer(self.pooled(self.example().to(x.device)))[:0]
            return none
        if torch.is_grad_enabled() or len(x) <= _AT_ONCE:
            features: Tensor = self.layer(self.pooled(x))
            return features
        return torch.cat([self.layer(self.pooled(part)) for part in torch.split(x, _AT_ONCE)])

    def pooled(self, x: Tensor) -> Tensor:
        """The model's own features [B, D]."""
        if self._kind == "text":
            return self._of_texts(x)
        if self._kind == "audio" and x.ndim == 2:
            return self._of_waves(x)
        if self._by_frame:
            frames = self._over_places(self._hidden(pixel_values=x.flatten(0, 1)))
            return frames.reshape(*x.shape[:2], -1).mean(1)
        return self._over_places(self._hidden(**{self._takes if self._kind == "audio" else "pixel_values": x}))

    def example(self) -> Tensor:
        """One input [1, ...] like any other: the same numbers always."""
        x = torch.zeros(1, *self._shape)
        if self._kind == "audio" and len(self._shape) == 1:
            x[0, 1:] = torch.linspace(-1.0, 1.0, self._shape[0] - 1)
            x[0, 0] = self._shape[0] - 1
        return x

    def rest(self, names: tuple[str, ...]) -> None:
        """These parts are in eval mode from now on, whatever the others are in."""
        self._resting = names
        self.train(self.training)

    def train(self, mode: bool = True) -> PretrainedStem:
        """Training or eval mode, but for what is frozen."""
        super().train(mode)
        for name in self._resting:
            self.get_submodule(name).training = False
        return self

    def _of_texts(self, x: Tensor) -> Tensor:
        x = x[:, : max(1, int((x >= 0).sum(1).max()))]
        there = x >= 0
        tokens = torch.where(there, x.long(), self._pad)
        hidden = self._hidden(input_ids=tokens, attention_mask=there.long())
        if self._first_token:
            return self._over_places(hidden)
        mean: Tensor = (hidden * there[..., None]).sum(1) / there.sum(1, keepdim=True)
        return mean

    def _of_waves(self, x: Tensor) -> Tensor:
        lengths = x[:, 0].long()
        wave = x[:, 1 : 1 + int(lengths.max())] if self._cuts_waves else x[:, 1:]
        there = torch.arange(wave.shape[1], device=x.device) < lengths[:, None]
        tower: Any = self.tower
        if not hasattr(tower, "_get_feat_extract_output_lengths"):
            return self._over_places(self._hidden(input_values=wave))
        hidden = self._hidden(input_values=wave, attention_mask=there.long())
        if self._first_token:
            return self._over_places(hidden)
        steps = tower._get_feat_extract_output_lengths(lengths).clamp(min=1, max=hidden.shape[1])
        kept = torch.arange(hidden.shape[1], device=x.device) < steps[:, None]
        mean: Tensor = (hidden * kept[..., None]).sum(1) / steps[:, None]
        return mean

    def _over_places(self, hidden: Tensor) -> Tensor:
        return pooled(hidden, first_token=self._first_token, pointer=self._pointer)

    def _hidden(self, **inputs: Tensor) -> Tensor:
        hidden: Tensor = self.tower(**inputs).last_hidden_state
        return hidden


def build_finetuned(info: ModalityInfo, spec: PretrainedEncoder, tuned: Tuned | None) -> Encoder:
    """The encoder with the model's own weights, or with random ones where there is no `tuned`.

    Raises DataError `encoder.*`.
    """
    assert info.model is not None
    pointer = "#" if tuned is None else tuned.pointer
    tower = _plain(_tower(info.model, info.kind, tuned)).eval()
    try:
        stem = PretrainedStem(tower, info, spec, pointer)
        if info.kind == "text" and spec.pooling == "cls":
            _check_first_token(stem, pointer)
        stem.rest(choose_trained(stem, spec.last_blocks))
    except DataError:
        raise
    except BlocksError as error:
        raise too_few_blocks(spec, error.there, pointer) from error
    except Exception as error:  # a model that is given what it cannot take raises anything
        detail = f"the model cannot read samples of shape {' x '.join(map(str, info.shape))}: {told_by(error)}"
        raise encoder_error("encoder.unusable", detail, _SHAPES, pointer) from error
    return Encoder(stem, spec.features, spec.dropout)


@torch.no_grad()
def _check_first_token(stem: PretrainedStem, pointer: str) -> None:
    """That the first token of a text sees what comes after it."""
    one, other = stem.pooled(torch.tensor([[0.0, 1.0]])), stem.pooled(torch.tensor([[0.0, 2.0]]))
    if torch.allclose(one, other, rtol=0.0, atol=1e-6):
        raise no_class_token("it reads from left to right, so that the first token is the same in all texts", pointer)


_SHAPES = "does it take as many frames, and images of this size?"


def _tower(config: State, kind: str, tuned: Tuned | None) -> nn.Module:
    pointer = "#" if tuned is None else tuned.pointer
    transformers = library(pointer)
    try:
        settings = transformers.AutoConfig.for_model(**config)
    except Exception as error:  # as in `load_tower`
        detail = f"the model's config cannot be used: {told_by(error)}"
        raise encoder_error("encoder.unusable", detail, "does it load with transformers.AutoModel?", pointer) from error
    for part in _parts(settings):
        for name, value in _OFF.items():
            if hasattr(part, name):
                setattr(part, name, value)
    if tuned is not None:
        tuned.check_unchanged()
        tower = load_tower(tuned.files, kind, tuned.pointer, config=settings, attn_implementation="eager")
        tuned.check_unchanged()  # nor while it was read
        return tower
    build: Any = transformers.AutoModel.from_config
    return tower_of(build(settings, attn_implementation="eager", trust_remote_code=False, dtype=torch.float32), kind)


def _parts(config: Any) -> Iterator[Any]:
    """A model's config, and those of its towers."""
    yield config
    for name in config.sub_configs:
        if (part := getattr(config, name, None)) is not None:
            yield part


def _plain(tower: nn.Module) -> nn.Module:
    """With weights in the place of what they are computed from: weight normalisation cannot be differentiated forwards,
    and is no help to weights that are good already."""
    for module in list(tower.modules()):
        if parametrize.is_parametrized(module):
            names: Any = module.parametrizations
            for name in list(names):
                parametrize.remove_parametrizations(module, name, leave_parametrized=True)
    return tower
