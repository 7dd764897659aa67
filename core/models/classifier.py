"""Encoders, a head per modality and one over all of them (paper, section 2.1): `{head: logits}`.

Where a sample may lack a modality, a learnt vector of that modality stands in the place of its features: the encoder
sees the samples that have it and no others, so that what a batch holds for the rest (zeros, or anything) reaches
neither the outputs, nor a gradient, nor the statistics of a layer. It starts at 0, as a rectified feature that found
nothing, and is trained with whatever reads the features.

Shape letters: B = batch, F = features of one encoder, K = classes.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from core.data.dataset import ModalityInfo
from core.data.modalities.base import presence_of
from core.data.tuning import Tuned
from core.models.encoders import build_encoder
from core.models.finetuned import build_finetuned
from core.models.fusion import build_fused_head
from core.models.heads import Head
from core.models.seeding import derive
from core.spec import FUSED, JobSpec
from core.spec.data import PretrainedEncoder


class MultimodalClassifier(nn.Module):
    """Encoders by modality and heads by name. Modalities are sorted, so their order in a spec never matters."""

    def __init__(
        self,
        encoders: Mapping[str, nn.Module],
        heads: Mapping[str, nn.Module],
        missing: Mapping[str, nn.Parameter] | None = None,
    ) -> None:
        """`missing` has a vector [F] for each modality that a sample may lack."""
        super().__init__()
        self.modalities = tuple(sorted(encoders))
        self.heads = tuple(sorted(set(heads) - {FUSED})) + ((FUSED,) if FUSED in heads else ())
        for name in self.modalities:
            self.add_module(f"encoder_{name}", encoders[name])
        for name in self.heads:
            self.add_module(f"head_{name}", heads[name])
        self.masked = tuple(sorted(missing or ()))
        """The modalities that a sample may lack."""
        for name in self.masked:
            self.register_parameter(f"missing_{name}", (missing or {})[name])

    def encoder(self, modality: str) -> nn.Module:
        """The encoder of a modality."""
        return self.get_submodule(f"encoder_{modality}")

    def missing(self, modality: str) -> nn.Parameter:
        """The vector [F] of a modality in `masked`, for samples that lack it."""
        # Not `get_parameter`: `torch.func.functional_call` puts plain tensors in the places of parameters.
        vector: nn.Parameter = getattr(self, f"missing_{modality}")
        return vector

    def parameters_of(self, modality: str) -> list[nn.Parameter]:
        """What makes a modality's features: the encoder's parameters, and the vector for samples that lack it."""
        own = list(self.encoder(modality).parameters())
        return [*own, self.missing(modality)] if modality in self.masked else own

    def head(self, name: str) -> nn.Module:
        """A head by name."""
        return self.get_submodule(f"head_{name}")

    def reads(self, heads: Iterable[str]) -> tuple[str, ...]:
        """The modalities that these heads look at."""
        wanted = set(heads)
        return self.modalities if FUSED in wanted else tuple(name for name in self.modalities if name in wanted)

    def features(self, inputs: Mapping[str, Tensor], modalities: Sequence[str]) -> dict[str, Tensor]:
        """Each modality's features [B, F]: as its encoder gives them, or the vector for samples that lack it."""
        return {name: self._features_of(name, inputs) for name in modalities}

    def _features_of(self, name: str, inputs: Mapping[str, Tensor]) -> Tensor:
        if name not in self.masked:
            encoded: Tensor = self.encoder(name)(inputs[name])
            return encoded
        present = inputs[presence_of(name)] > 0
        rows = present.nonzero()[:, 0]
        encoded = self.encoder(name)(inputs[name][rows])
        return self.missing(name).expand(len(present), -1).index_copy(0, rows, encoded)

    def forward(self, inputs: Mapping[str, Tensor], heads: Sequence[str] | None = None) -> dict[str, Tensor]:
        """Logits [B, K] of the heads asked for (all by default); encoders that none of them reads are not run."""
        wanted = self.heads if heads is None else heads
        return self.classify(self.features(inputs, self.reads(wanted)), wanted)

    def classify(self, features: Mapping[str, Tensor], heads: Sequence[str]) -> dict[str, Tensor]:
        """Logits [B, K] of the heads from features [B, F] by modality (all of them, where `fused` is asked for)."""
        return {
            name: self.head(name)(torch.cat(list(features.values()), dim=1) if name == FUSED else features[name])
            for name in heads
        }

    def part(self, heads: Sequence[str]) -> MultimodalClassifier:
        """These heads and the encoders they read, *sharing* this model's tensors."""
        reads = self.reads(heads)
        return MultimodalClassifier(
            {name: self.encoder(name) for name in reads},
            {name: self.head(name) for name in heads},
            {name: self.missing(name) for name in reads if name in self.masked},
        )

    def copy_of(self, heads: Sequence[str]) -> MultimodalClassifier:
        """A deep copy of these heads and of the encoders they read; shares no tensor with this model but frozen
        parameters, which nothing ever changes."""
        frozen = {id(parameter): parameter for parameter in self.parameters() if not parameter.requires_grad}
        return copy.deepcopy(self.part(heads), memo=dict(frozen))


def build_model(
    spec: JobSpec,
    modalities: Mapping[str, ModalityInfo],
    classes: int,
    tuned: Mapping[str, Tuned] | None = None,
) -> MultimodalClassifier:
    """The classifier of a job, initialised from its seed. Every part has its own seed, derived from its name.

    Pretrained models that are trained begin with the weights of `tuned`; one that is not there has random ones, for
    somebody who loads an exported model's over them. Raises DataError `encoder.*` where one cannot be used.

    With `mid_concat` the modalities meet before the encoders' last layers: what both the fused and a uni-modal head
    read ends there, so the last layer belongs to the uni-modal head. The uni-modal network is the same as ever.
    """
    encoders: dict[str, nn.Module] = {}
    heads: dict[str, nn.Module] = {}
    joined: dict[str, int] = {}
    by_name = {modality.name: modality.encoder for modality in spec.dataset.modalities}
    features = {name: by_name[name].features for name in spec.modality_names}
    for name in spec.modality_names:
        with _seeded(derive(spec.seed, "encoder", name)):
            asked = by_name[name]
            encoder = (
                build_finetuned(modalities[name], asked, (tuned or {}).get(name))
                if isinstance(asked, PretrainedEncoder) and not asked.is_frozen
                else build_encoder(modalities[name], asked)
            )
        with _seeded(derive(spec.seed, "head", name)):
            head = Head(features[name], classes, hidden=0, dropout=spec.model.dropout)
        if spec.model.fusion == "mid_concat":
            encoders[name], joined[name] = encoder.stem, encoder.width
            heads[name] = nn.Sequential(OrderedDict(last=encoder.last, head=head))
        else:
            encoders[name], joined[name] = encoder, features[name]
            heads[name] = head
    with _seeded(derive(spec.seed, "head", FUSED)):
        heads[FUSED] = build_fused_head(spec.model, joined=joined, features=features, classes=classes)
    masked = {modality.name for modality in spec.dataset.modalities if modality.missing == "mask"}
    missing = {name: nn.Parameter(torch.zeros(joined[name])) for name in spec.modality_names if name in masked}
    return MultimodalClassifier(encoders, heads, missing)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Draws inside come from `seed`; the global generator stays where it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
