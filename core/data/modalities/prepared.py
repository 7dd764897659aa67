"""Samples as the inputs of a pretrained model that is trained itself: kept as they are, read by nothing but that model.

    text     int32 tokens of any number, by row; encoded `[tokens]`, -1 where it is padded
    image    `[3, H, W]`, video `[frames, 3, H, W]`: 8-bit where the model's preparation ends with scaling and
             normalising, which each batch then does by itself; float32 otherwise
    audio    waves of any length, by row, encoded `[1 + samples]`, the first entry being the length and 0 where it is
             padded; or float32 features of one shape

Nothing is fitted on the training part but the longest text or wave: the model's own preparation counts.
"""

from __future__ import annotations

import numpy as np

from core.data.modalities.base import Floats, ModalityInfo, Raw, State, contiguous
from core.data.table import Rows

TYPE = "prepared"
"""Of the states of such modalities."""
PADDING = -1.0
"""What stands behind the tokens of a text: 0 may be one."""
LONGEST_WAVE = 2**24
"""Samples; a longer one's length would not be exact as a float."""


def fit_prepared(raw: Raw, train: Rows, how: State) -> State:
    """`how` with the shape of a sample: of texts and waves that of the longest training row."""
    if raw.dtype != object:
        return {"type": TYPE, **how, "shape": [int(side) for side in raw.shape[1:]]}
    longest = max(len(raw[row]) for row in train.tolist())
    return {"type": TYPE, **how, "longest": longest}


def encode_prepared(raw: Raw, state: State) -> Floats:
    """`[n, ...]` as the model's encoder reads it."""
    if "longest" in state:
        return _tokens(raw, state["longest"]) if state["kind"] == "text" else _waves(raw, state["longest"])
    pixels = state.get("pixels")
    if pixels is None or raw.dtype != np.uint8:
        return contiguous(raw)
    out = raw.astype(np.float32)
    out *= np.float32(pixels["scale"])
    out -= np.asarray(pixels["mean"], dtype=np.float32)[:, None, None]
    out /= np.asarray(pixels["std"], dtype=np.float32)[:, None, None]
    return out


def is_ragged(state: State) -> bool:
    """Whether raw samples have a length of their own, so that they are encoded once and not by the batch."""
    return "longest" in state


def info_of_prepared(name: str, state: State) -> ModalityInfo:
    """The modality as its encoder sees it, with what the encoder is built from."""
    if "longest" in state:
        shape: tuple[int, ...] = (state["longest"] + (state["kind"] == "audio"),)
    else:
        shape = tuple(state["shape"])
    return ModalityInfo(name=name, kind=state["kind"], shape=shape, model=state["config"])


def _tokens(raw: Raw, longest: int) -> Floats:
    out = np.full((len(raw), longest), PADDING, dtype=np.float32)
    for row, tokens in enumerate(raw):
        kept = tokens[:longest]
        out[row, : len(kept)] = kept
    return out


def _waves(raw: Raw, longest: int) -> Floats:
    out = np.zeros((len(raw), 1 + longest), dtype=np.float32)
    for row, wave in enumerate(raw):
        kept = wave[:longest]
        out[row, 0] = len(kept)
        out[row, 1 : 1 + len(kept)] = kept
    return out
