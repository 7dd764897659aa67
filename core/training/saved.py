"""An exported model, built again from its files alone: `model.json`, `model.safetensors`, `encoders/`."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from core.data.modalities import EncodeFrozen, PrepareInput, decode_sample, info_of
from core.data.modalities.prepared import TYPE
from core.data.tuning import new_input
from core.errors import ArtifactError
from core.models.classifier import build_model
from core.models.inputs import saved_inputs
from core.spec import JobSpec, UnimodalBlending
from core.spec.base import FINE_TUNED, FUSED
from core.training.export import ENCODERS
from core.training.fine_tune import WithFineTuned


@dataclass(frozen=True, slots=True)
class SavedModel:
    """The model in eval mode, on the CPU, with the fine-tuned head where there is one."""

    card: dict[str, Any]
    """`model.json`."""
    module: nn.Module
    """Inputs by modality, and names of heads -> outputs [B, K] by head."""
    modalities: tuple[str, ...]
    """Those that the module reads."""
    _inputs: Mapping[str, PrepareInput]

    def inputs(self, sample: Mapping[str, Any], frozen: EncodeFrozen | None = None) -> dict[str, Tensor]:
        """One new sample, as `core.data.modalities.decode_sample` is given it, as a batch of one."""
        states = {name: self.card["preprocessing"][name] for name in self.modalities}
        decoded = decode_sample(states, sample, frozen, self._inputs)
        return {name: torch.from_numpy(array) for name, array in decoded.items()}


def load_saved(folder: Path) -> SavedModel:
    """Of the folder that a run's artifacts were downloaded to.

    Raises ArtifactError `artifact.unreadable` where a file of it is missing or damaged, and DataError `encoder.*` where
    the tokenizer or processor of a pretrained model cannot be used.
    """
    try:
        card = json.loads((folder / "model.json").read_bytes())
        tensors = safetensors.torch.load_file(folder / "model.safetensors")
    except (OSError, ValueError, SafetensorError) as error:
        raise _unreadable(str(error)) from error
    spec = JobSpec.model_validate(card["spec"])
    states = card["preprocessing"]
    infos = {name: info_of(name, state) for name, state in states.items()}
    model = build_model(spec, infos, len(card["classes"]) or 1)
    if isinstance(spec.blending, UnimodalBlending):
        model = model.copy_of([spec.blending.modality])
    fine_tuned = f"head_{FINE_TUNED}."
    model.load_state_dict({name: value for name, value in tensors.items() if not name.startswith(fine_tuned)})
    module: nn.Module = model
    head = {name.removeprefix(fine_tuned): value for name, value in tensors.items() if name.startswith(fine_tuned)}
    if head:
        other = copy.deepcopy(model.head(FUSED))
        other.load_state_dict(head)
        module = WithFineTuned(model, other)
    inputs: dict[str, PrepareInput] = {}
    for name, state in states.items():
        if state["type"] == TYPE and name in model.modalities:
            if not (folder / ENCODERS / name).is_dir():
                raise _unreadable(f"there is no folder {ENCODERS}/{name}")
            inputs[name] = partial(new_input, inputs=saved_inputs(folder / ENCODERS / name, state))
    return SavedModel(card, module.eval(), model.modalities, inputs)


def _unreadable(why: str) -> ArtifactError:
    detail = f"the saved model cannot be read: {why}"
    return ArtifactError(detail, code="artifact.unreadable", hint="download all of the job's artifacts again")
