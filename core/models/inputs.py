"""Samples as the inputs of a model of `transformers` that is trained (`core.data.tuning.Inputs`), by its own tokenizer
or processor.

Pixels are kept at 8 bits where that loses nothing: where what the processor does at last is to scale and to normalise,
which is looked at, on a pattern of noise, and not believed.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.features import how_to_read
from core.data.modalities.base import Raw, State
from core.data.modalities.prepared import encode_prepared
from core.data.pretrained import TOKENIZER, PretrainedFiles, no_class_token
from core.data.problems import SampleError
from core.data.tuning import Inputs
from core.models.pretrained import FAULTS, library, processor_of, tokenizer_of, told_by
from core.spec.data import Modality

log = logging.getLogger(__name__)

_CLOSE = 1e-4
"""How far normalised pixels may be from the processor's own: rounding, a hundredth of what one 8-bit step is."""


def load_inputs(modality: Modality, files: PretrainedFiles, pointer: str) -> Inputs:
    """What `core.data.dataset.prepare` loads tokenizers and processors with."""
    return inputs_of(files, how_to_read(modality, files), pointer)


def saved_inputs(folder: Path, state: State) -> Inputs:
    """The same from the files beside an exported model, and the fitted state of its modality."""
    rate = {"sampling_rate": state["sample_rate"]} if "sample_rate" in state else {}
    files = PretrainedFiles(folder, state["config"], rate, ())
    return inputs_of(files, state, "#")


def inputs_of(files: PretrainedFiles, how: State, pointer: str) -> Inputs:
    """By how samples are read (`core.data.features.how_to_read`). Raises DataError `encoder.*`, or
    `data.missing_library`."""
    library(pointer)
    kind = how["kind"]
    if kind == "text":
        return Tokens(files, how, pointer)
    return Sounds(files, pointer) if kind == "audio" else Pixels(files, kind, pointer)


class Tokens:
    """Texts to int32 tokens, of which there is at least one."""

    pixels: State | None = None

    def __init__(self, files: PretrainedFiles, how: State, pointer: str) -> None:
        self._tokenizer = tokenizer_of(files, how, pointer)
        if how.get("pooling") == "cls" and not any(self._tokenizer.encode("a").special_tokens_mask[:1]):
            raise no_class_token(f"its {TOKENIZER} adds none", pointer)

    def __call__(self, sample: Any) -> Raw:
        """`[tokens]`"""
        return np.array(self._tokenizer.encode(sample).ids or [0], dtype=np.int32)


class Pixels:
    """Images `[3, H, W]`, and clips `[frames, 3, H, W]`."""

    def __init__(self, files: PretrainedFiles, kind: str, pointer: str) -> None:
        self._processor = processor_of(files, kind, pointer)
        self._is_of_clips = kind == "video" and "num_frames" in files.config
        self._is_video = kind == "video"
        self.pixels = self._finish()

    def __call__(self, sample: Any) -> Raw:
        """8-bit where `pixels` says how to finish them, float32 otherwise."""
        try:
            return self._prepared(sample, finished=self.pixels is None)
        except MemoryError:  # no fault of the sample's
            raise
        except Exception as error:  # a processor that is given what it cannot take raises anything
            raise _unreadable(error) from error

    def _prepared(self, sample: Any, *, finished: bool) -> Raw:
        shown: Any = np.ascontiguousarray(np.moveaxis(np.clip(np.asarray(sample), 0, 255).astype(np.uint8), -3, -1))
        shown = list(shown) if self._is_video else shown
        steps = {} if finished else {"do_rescale": False, "do_normalize": False}
        found: NDArray[Any] = np.asarray(
            self._processor(shown, input_data_format="channels_last", return_tensors="np", **steps)["pixel_values"]
        )
        found = found if self._is_video and not self._is_of_clips else found[0]
        return found if not finished else found.astype(np.float32)

    def _finish(self) -> State | None:
        """How 8-bit pixels become what the processor gives; None where they do not."""
        noise = np.random.default_rng(0).integers(0, 256, (3, 61, 47))
        sample = np.stack([noise] * 2) if self._is_video else noise
        try:
            finished, early = self._prepared(sample, finished=True), self._prepared(sample, finished=False)
        except FAULTS as error:  # it has no such steps
            log.info("inputs are kept as float32: %s", str(error)[:200])
            return None
        rescales = bool(getattr(self._processor, "do_rescale", False))
        normalises = bool(getattr(self._processor, "do_normalize", False))
        state: State = {
            "scale": float(self._processor.rescale_factor) if rescales else 1.0,
            "mean": [float(value) for value in self._processor.image_mean] if normalises else [0.0] * 3,
            "std": [float(value) for value in self._processor.image_std] if normalises else [1.0] * 3,
        }
        if early.dtype != np.uint8 or early.shape != finished.shape:
            return None
        again = encode_prepared(early[None], {"kind": "image", "pixels": state})[0]
        return state if np.abs(again - finished).max() <= _CLOSE else None


class Sounds:
    """Sounds `[samples]` to waves `[samples]`, or to float32 features of any other shape."""

    pixels: State | None = None

    def __init__(self, files: PretrainedFiles, pointer: str) -> None:
        self._processor = processor_of(files, "audio", pointer)
        self._rate = files.sample_rate
        self._windows = list(
            zip(files.config.get("conv_kernel") or (), files.config.get("conv_stride") or (), strict=False)
        )

    def __call__(self, sample: Any) -> Raw:
        """Raises SampleError for a sound shorter than the model's windows, too."""
        try:
            found = self._processor(sample, sampling_rate=self._rate, return_tensors="np")
        except MemoryError:  # no fault of the sample's
            raise
        except Exception as error:  # a processor that is given what it cannot take raises anything
            raise _unreadable(error) from error
        name = "input_values" if "input_values" in found else "input_features"
        values: NDArray[np.float32] = np.asarray(found[name][0], dtype=np.float32)
        steps = len(values)
        for kernel, stride in self._windows if values.ndim == 1 else ():
            steps = (steps - kernel) // stride + 1
        if steps < 1:
            raise SampleError("file.undecodable", "it is too short for its encoder")
        return values


def _unreadable(error: Exception) -> SampleError:
    told = told_by(error)
    log.warning("a pretrained model cannot read a sample: %s", told)
    return SampleError("file.undecodable", f"its encoder cannot read it: {told}")
