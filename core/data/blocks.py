"""How many blocks a model of `transformers` has, as far as its config says: a submission is told before any worker is.

What counts as a block is what `core.models.trained_part` takes for one: the worker looks at the model itself, and has
the last word. Here nothing is refused that it would accept.
"""

from __future__ import annotations

from typing import Any

from core.data.problems import encoder_error
from core.errors import DataError
from core.spec.data import PretrainedEncoder

_COUNTED: dict[str, tuple[str, ...]] = {
    "num_hidden_layers": (
        *("audio-spectrogram-transformer", "beit", "bert", "camembert", "clip_text_model", "clip_vision_model"),
        *(
            "data2vec-audio",
            "deberta",
            "deberta-v2",
            "deit",
            "dinov2",
            "dinov2_with_registers",
            "dinov3_vit",
            "electra",
        ),
        *("gemma", "gemma2", "gpt_neox", "hubert", "llama", "mistral", "modernbert", "mpnet", "nomic_bert", "opt"),
        *("phi", "phi3", "qwen2", "qwen3", "roberta", "siglip_vision_model", "timesformer"),
        *("videomae", "vit", "vivit", "wav2vec2", "wavlm", "xlm-roberta"),
    ),
    "n_layers": ("distilbert",),
    "n_layer": ("bloom", "gpt2", "gptj"),
    "num_layers": ("gpt_neo", "mt5", "t5"),
    "encoder_layers": ("bart", "marian", "mbart", "pegasus", "whisper"),
    "depths": (
        *("convnext", "convnextv2", "focalnet", "hiera", "poolformer", "pvt_v2", "regnet", "resnet", "segformer"),
        *("swin", "swinv2"),
    ),
}
"""Field of a config -> the types of models whose blocks it counts, or lists. Of others it may count something else."""
BLOCKS_IN = {name: field for field, names in _COUNTED.items() for name in names}
"""Type of a model -> that field."""
_TOWERS = {"text": "text_config", "image": "vision_config", "video": "vision_config", "audio": "audio_config"}
TWO_TOWERS = ("altclip", "chinese_clip", "clip", "metaclip_2", "siglip", "siglip2")
"""Types of models one part of which reads a modality; the config of each counts its `num_hidden_layers`."""


def blocks_said(config: dict[str, Any], kind: str) -> int | None:
    """By `config.json`, of the part that reads the type of modality `kind`; None where it does not say so plainly."""
    if config.get("model_type") in TWO_TOWERS:
        tower = config.get(_TOWERS[kind])
        found = tower.get("num_hidden_layers") if isinstance(tower, dict) else None
    else:
        found = config.get(BLOCKS_IN.get(str(config.get("model_type")), ""))
    found = len(found) if isinstance(found, list) else found
    return found if isinstance(found, int) and not isinstance(found, bool) and found > 0 else None


def check_blocks(encoder: PretrainedEncoder, config: dict[str, Any], kind: str, pointer: str) -> None:
    """Raises DataError `encoder.blocks` where more blocks are to be trained than the config says that there are.

    `pointer`: of a field of the encoder.
    """
    there = blocks_said(config, kind)
    if there is not None and (encoder.last_blocks or 0) > there:
        raise too_few_blocks(encoder, there, pointer)


def too_few_blocks(encoder: PretrainedEncoder, there: int, pointer: str) -> DataError:
    """Of a model with so many blocks. `pointer`: of a field of the encoder."""
    blocks = "1 block" if there == 1 else f"{there} blocks"
    detail = f'the model has {blocks if there else "no list of blocks"}, and trainable is "{encoder.trainable}"'
    hint = f'set trainable to "last_n:{there}" at most, or to "all"' if there else 'set trainable to "all" or "none"'
    where = f"{pointer.rpartition('/')[0]}/trainable" if "/" in pointer else pointer
    return encoder_error("encoder.blocks", detail, hint, where)
