"""What `preprocessor_config.json` of a model says, checked before anything is prepared by it: a submission is told.

Its numbers decide what is computed and how much memory that takes; a process that is killed for it tells nobody why.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from core.data.modalities.audio import MAX_RATE, MIN_RATE
from core.data.problems import encoder_error
from core.errors import DataError

_MOST_PIXELS = 4096 * 4096
_OF_IMAGES = ("image_processor_type", "image_mean", "do_resize", "crop_size")
_OF_SOUNDS = ("sampling_rate", "num_mel_bins", "do_normalize_audio")
_SIZES = ("size", "crop_size", "pad_size")


def check_processor(processor: dict[str, Any], shown: str, kind: str, pointer: str) -> None:
    """Of a modality of the type `kind`; `shown` is the model's name.

    Raises DataError: `encoder.malformed` where a number cannot be used, `encoder.other_type` where the model reads
    something else.
    """
    is_sound = kind == "audio"
    if kind == "text":
        return
    ours, others = (_OF_SOUNDS, _OF_IMAGES) if is_sound else (_OF_IMAGES, _OF_SOUNDS)
    if any(name in processor for name in others) and not any(name in processor for name in ours):
        reads, needed = ("images", "sounds") if is_sound else ("sounds", "images")
        raise encoder_error(
            "encoder.other_type",
            f"the model {shown!r} reads {reads}, by its preprocessor_config.json; the modality is of type {kind!r}",
            f"name a model of {needed}",
            pointer,
        )
    rate = processor.get("sampling_rate", MIN_RATE)
    if is_sound and not (_is_number(rate) and MIN_RATE <= rate <= MAX_RATE):
        raise _malformed(shown, f"a sampling_rate of {rate!r}", f"{MIN_RATE:,} to {MAX_RATE:,}", pointer)
    for name in () if is_sound else _SIZES:
        sides = [side for side in _sides(processor.get(name)) if _is_number(side)]
        if sides and (min(sides) < 1 or max(sides) ** 2 > _MOST_PIXELS):
            raise _malformed(shown, f"a {name} of {processor[name]!r}", "sides of 1 to 4,096 pixels", pointer)


def _malformed(shown: str, found: str, wanted: str, pointer: str) -> DataError:
    detail = f"preprocessor_config.json of {shown!r} asks for {found[:100]}; {wanted} can be had"
    return encoder_error("encoder.malformed", detail, "save the model's own processor beside it", pointer)


def _sides(size: Any) -> Iterator[Any]:
    if isinstance(size, dict):
        # Pixels in all, and their bounds, are no sides: `longest_edge` of some models means that.
        yield from (size[name] for name in ("height", "width", "shortest_edge") if name in size)
    elif isinstance(size, list):
        yield from size
    elif size is not None:
        yield size


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
