"""Frozen models of `transformers`, as what turns samples into vectors (`core.data.features`).

Weights come from safetensors alone, nothing is looked up on a network, and no code of a model's own is run. A text is
the mean of its last hidden states over its tokens, an image, a sound or a clip the mean over its patches or steps; or,
where asked for, the last hidden state of the token for the whole sample that some models put in front. Of a model with
two towers (CLIP) the one that reads the modality counts, of an encoder and a decoder the encoder.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core.data.features import LoadModel
from core.data.modalities.base import Floats, State
from core.data.pretrained import TOKENIZER, PretrainedFiles, encoder_error, no_class_token

log = logging.getLogger(__name__)

_DTYPE = torch.float32
FAULTS = (RuntimeError, ValueError, IndexError, TypeError, KeyError, AttributeError, ArithmeticError)
"""What the library raises for samples, or a processor, that a model does not go with."""
_TOWERS = {"text": "text_model", "image": "vision_model", "video": "vision_model", "audio": "audio_model"}


class Frozen:
    """One loaded model."""

    def __init__(self, files: PretrainedFiles, how: State, pointer: str, device: torch.device) -> None:
        """`how`: see `core.data.features.how_to_read`. Raises DataError `encoder.*`, with an issue at `pointer`, where
        the model cannot be used."""
        self._kind = kind = str(how["kind"])
        self._first_token = how.get("pooling") == "cls"
        self._pointer = pointer
        self._device = device
        self._files = files
        self.trouble = ""
        self._model = load_tower(files, kind, pointer).to(device).eval()
        self._prepare: Any = tokenizer_of(files, how, pointer) if kind == "text" else processor_of(files, kind, pointer)
        if kind == "text" and self._first_token:
            self._check_first_token(files)

    @torch.no_grad()
    def features(self, samples: Sequence[Any]) -> Floats:
        """`[n, D]`; see `core.data.features.FrozenModel`. One by one: what a sample gives depends on no other one, to
        the bit. Rows of a sample that the model cannot read (a sound shorter than its windows) are NaN."""
        of_one: dict[str, Callable[[Any], Floats]] = {
            "text": self._of_text,
            "image": self._of_image,
            "audio": self._of_sound,
            "video": self._of_clip,
        }
        found: list[Floats | None] = []
        for sample in samples:
            try:
                found.append(of_one[self._kind](sample))
            except (MemoryError, torch.OutOfMemoryError):  # no fault of the sample's
                raise
            except FAULTS as error:
                self.trouble = told_by(error, self._files.folder)
                log.warning("a frozen encoder cannot read a sample: %s", self.trouble)
                found.append(None)
        width = next((len(vector) for vector in found if vector is not None), 1)
        return np.stack([np.full(width, np.nan, np.float32) if vector is None else vector for vector in found])

    def _of_text(self, text: str) -> Floats:
        encoded = self._prepare.encode(text)
        ids = torch.tensor([encoded.ids or [0]], device=self._device)
        return _numpy(self._pooled(self._hidden_of(ids))[0])

    def _hidden_of(self, ids: Tensor) -> Tensor:
        hidden: Tensor = self._model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        return hidden

    @torch.no_grad()
    def _check_first_token(self, files: PretrainedFiles) -> None:
        """That the tokenizer puts one in front which stands for no word, and that it sees what comes after it."""
        encoded = self._prepare.encode("a")
        if not encoded.ids or not encoded.special_tokens_mask[0]:
            raise no_class_token(f"its {TOKENIZER} adds none", self._pointer)
        first, words = encoded.ids[0], files.config.get("vocab_size", 0)
        texts = [torch.tensor([[first, (first + step) % max(words, 3)]], device=self._device) for step in (1, 2)]
        one, other = (self._hidden_of(ids)[0, 0] for ids in texts)
        if torch.allclose(one, other, rtol=0.0, atol=1e-6):
            raise no_class_token(
                "it reads from left to right, so that the first token is the same in all texts", self._pointer
            )

    def _of_image(self, pixels: Floats) -> Floats:
        shown = np.ascontiguousarray(np.clip(np.asarray(pixels), 0, 255).astype(np.uint8).transpose(1, 2, 0))
        inputs = self._prepare(images=shown, input_data_format="channels_last", return_tensors="pt")
        return self._of_inputs({"pixel_values": inputs["pixel_values"]})

    def _of_clip(self, frames: Floats) -> Floats:
        shown = [np.ascontiguousarray(frame.transpose(1, 2, 0)) for frame in np.asarray(frames, dtype=np.uint8)]
        if not hasattr(self._model.config, "num_frames"):  # a model of images: every frame by itself
            inputs = self._prepare(images=shown, input_data_format="channels_last", return_tensors="pt")
            hidden = self._model(pixel_values=inputs["pixel_values"].to(self._device)).last_hidden_state
            return _numpy(self._pooled(hidden).mean(0))
        inputs = self._prepare(shown, input_data_format="channels_last", return_tensors="pt")
        return self._of_inputs({"pixel_values": inputs["pixel_values"]})

    def _of_sound(self, wave: Floats) -> Floats:
        inputs = self._prepare(wave, sampling_rate=self._files.sample_rate, return_tensors="pt")
        return self._of_inputs({name: inputs[name] for name in ("input_values", "input_features") if name in inputs})

    def _of_inputs(self, inputs: dict[str, Tensor]) -> Floats:
        hidden = self._model(**{name: value.to(self._device) for name, value in inputs.items()}).last_hidden_state
        return _numpy(self._pooled(hidden)[0])

    def _pooled(self, hidden: Tensor) -> Tensor:
        return pooled(hidden, first_token=self._first_token, pointer=self._pointer)


def load_frozen(device: torch.device) -> LoadModel:
    """What `core.data.features.Featuriser` loads models with."""

    def load(files: PretrainedFiles, how: State, pointer: str) -> Frozen:
        return Frozen(files, how, pointer, device)

    return load


def computed_by(device: torch.device) -> dict[str, str]:
    """What a feature depends on beside model and sample; names kept features (`core.data.features` says why)."""
    return {
        **{package: _major_and_minor(package) for package in ("torch", "transformers")},
        "device": device.type,
        "dtype": str(_DTYPE).removeprefix("torch."),
    }


def _major_and_minor(package: str) -> str:
    """`2.13` of 2.13.0+cpu; empty where it is not installed: it will not load a model then."""
    try:
        return ".".join(metadata.version(package).split(".")[:2])
    except metadata.PackageNotFoundError:
        return ""


def library(pointer: str) -> Any:
    """`transformers`, which has no types here, and is silent. Raises DataError `data.missing_library`."""
    try:
        import transformers
    except ImportError as error:
        hint = "pip install 'gblend[hf]', where the workers run"
        raise encoder_error("data.missing_library", "transformers is not installed here", hint, pointer) from error
    lines: Any = transformers.logging
    lines.set_verbosity_error()
    lines.disable_progress_bar()
    return transformers


def load_tower(files: PretrainedFiles, kind: str, pointer: str, **options: Any) -> nn.Module:
    """The part of the model that reads the modality; `options` are those of `transformers`.

    Raises DataError `encoder.*`.
    """
    transformers = library(pointer)
    try:
        model, told = transformers.AutoModel.from_pretrained(
            files.folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=_DTYPE,
            output_loading_info=True,
            **options,
        )
    except Exception as error:  # a config or weights that do not fit make the library raise anything
        detail = f"the model cannot be loaded: {told_by(error, files.folder)}"
        raise encoder_error("encoder.unusable", detail, "does it load with transformers.AutoModel?", pointer) from error
    endless = [name for name, values in model.named_parameters() if not torch.isfinite(values).all()]
    if endless:
        detail = f"{len(endless)} tensors of the weights hold NaN or infinity ({sorted(endless)[0]}, ...)"
        raise encoder_error("encoder.unusable", detail, "save the model again, from where it works", pointer)
    missing = [name for name in told["missing_keys"] if "pooler" not in name]
    if missing:
        detail = f"the weights lack {len(missing)} tensors that the model has ({sorted(missing)[0]}, ...)"
        raise encoder_error("encoder.unusable", detail, "what is not in the file would be random", pointer)
    return tower_of(model, kind)


def tower_of(model: nn.Module, kind: str) -> nn.Module:
    """The part of a whole model that reads the modality: of two towers one, of an encoder and a decoder the encoder."""
    whole: Any = model
    tower = getattr(whole, _TOWERS[kind], None)
    if tower is None and getattr(whole.config, "is_encoder_decoder", False):
        tower = whole.get_encoder()
    return model if tower is None else tower


def pooled(hidden: Tensor, *, first_token: bool, pointer: str) -> Tensor:
    """`[B, T, D]` or `[B, D, h, w]` -> `[B, D]`: the mean over places, or the first token. Raises DataError
    `encoder.no_class_token` where there is none."""
    if not first_token:
        return hidden.flatten(2).mean(2) if hidden.ndim == 4 else hidden.mean(1)
    if hidden.ndim == 4:
        raise no_class_token("its last hidden states are those of places", pointer)
    return hidden[:, 0]


def tokenizer_of(files: PretrainedFiles, how: State, pointer: str) -> Any:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(files.folder / TOKENIZER))
    except Exception as error:  # the library raises nothing more precise
        detail = f"{TOKENIZER} cannot be read: {told_by(error, files.folder)}"
        raise encoder_error("encoder.unusable", detail, "save the tokenizer as a fast one", pointer) from error
    special = tokenizer.num_special_tokens_to_add(is_pair=False)
    # With less room than that the library would truncate nothing.
    tokenizer.enable_truncation(max_length=max(min(how.get("max_tokens", files.tokens), files.tokens), special + 1))
    known = files.config.get("vocab_size")
    if isinstance(known, int) and tokenizer.get_vocab_size() > known:
        detail = f"{TOKENIZER} knows {tokenizer.get_vocab_size()} tokens, the model {known}"
        raise encoder_error("encoder.unusable", detail, "are they of one model?", pointer)
    return tokenizer


def processor_of(files: PretrainedFiles, kind: str, pointer: str) -> Any:
    import transformers

    loader: Any = transformers.AutoFeatureExtractor if kind == "audio" else transformers.AutoImageProcessor
    try:
        return loader.from_pretrained(files.folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # as above
        detail = f"the processor cannot be loaded: {told_by(error, files.folder)}"
        raise encoder_error("encoder.unusable", detail, "does it load with transformers?", pointer) from error


def told_by(error: Exception, folder: Path | None = None) -> str:
    """What a library says, on one line and not too long, without the worker's own path of the model."""
    said = " ".join(str(error).split()) or type(error).__name__
    if "ignore_mismatched_sizes" in said:  # the library prints what it means, and says this
        return "weights have other shapes than its config.json says"
    if folder is not None:
        said = said.replace(str(folder), "the model's folder")
    return said[:200]


def _numpy(values: Tensor) -> Floats:
    found: Floats = values.float().cpu().numpy()
    return found
