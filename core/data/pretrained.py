"""A folder of `transformers`: what must be in it, what must not, and the digest that names what it computes.

No library is needed for this, so that a submission is told before any worker is. What is never read: pickled weights, a
tokenizer's or a model's own code. A config that asks for code is refused.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.data.blobs import digest_of_files
from core.data.blocks import check_blocks
from core.data.hub import Hub
from core.data.hub_access import check_allowed
from core.data.problems import encoder_error as encoder_error
from core.data.processors import check_processor
from core.data.uris import is_file, is_folder, resolve
from core.errors import DataError, Issue, SpecError
from core.spec.data import DatasetSpec, Modality, PretrainedEncoder, VideoModality

CONFIG, TOKENIZER, PROCESSOR = "config.json", "tokenizer.json", "preprocessor_config.json"
_NEEDED = {"text": TOKENIZER, "image": PROCESSOR, "video": PROCESSOR, "audio": PROCESSOR}
"""What turns a sample into the model's input, by the type of modality."""
_READ_TOO = ("tokenizer_config.json", "special_tokens_map.json", "video_preprocessor_config.json")
_LONGEST = 512
"""Tokens of a text that are read, however many a model takes."""
_BEHIND_THE_PADDING = ("roberta", "xlm-roberta", "camembert", "mpnet")
_CLASS_TOKENS = ("cls_token", "class_embedding", "class_token")
"""How models of images, sounds and clips call the parameter that is the token for the whole sample."""
_LARGEST_JSON = 64 * 2**20
_LARGEST_HEADER = 100 * 2**20
"""safetensors' own limit."""


FileStamp = tuple[tuple[str, int, int, int], ...]
"""Path, size, time of the last change and inode of each file."""


@dataclass(frozen=True, slots=True)
class PretrainedFiles:
    """The files of one model."""

    folder: Path
    config: dict[str, Any]
    processor: dict[str, Any]
    """`preprocessor_config.json`; empty where there is none."""
    files: tuple[Path, ...]
    """All that decide what comes out: sorted by name."""

    tensors: frozenset[str] = frozenset()
    """Names of the weights."""

    @property
    def sample_rate(self) -> int:
        """Hertz, that a model of sounds wants."""
        return int(self.processor.get("sampling_rate", 16_000))

    @property
    def frames(self) -> int | None:
        """How many frames a model of clips wants; None: any number, as a model of images takes them one by one."""
        found = self.config.get("num_frames")
        return found if isinstance(found, int) else None

    @property
    def tokens(self) -> int:
        """How many tokens of a text the model takes."""
        tower = self.config.get("text_config")  # of a model with two
        config = {**tower, **self.config} if isinstance(tower, dict) else self.config
        longest = config.get("max_position_embeddings", config.get("n_positions"))
        pad = config.get("pad_token_id")
        if not isinstance(longest, int):
            return _LONGEST
        # Positions of RoBERTa and its like begin behind the padding's.
        beyond = int(pad) + 1 if self.config.get("model_type") in _BEHIND_THE_PADDING and pad else 0
        return min(_LONGEST, longest - beyond)

    def digest(self) -> str:
        """SHA-256 over names and bytes of `files`, in hex."""
        return digest_of_files(self.files)

    def stamp(self) -> FileStamp:
        """What differs once a file was written again; cheap. Raises OSError."""
        found = [(path, path.stat()) for path in self.files]
        return tuple((str(path), status.st_size, status.st_mtime_ns, status.st_ino) for path, status in found)


def find_pretrained(
    encoder: PretrainedEncoder, kind: str, roots: Mapping[str, Path], pointer: str = "#", hub: Hub | None = None
) -> PretrainedFiles:
    """The model's files, checked as far as can be without loading it; `kind` is the modality's type.

    `pointer` is that of the path or the id (`names_model`). A model of the hub is fetched; without `hub` it is refused.
    Raises SpecError (`source.forbidden`) and DataError (`encoder.*`), whose issue is there.
    """
    if encoder.hub is not None:
        if hub is None:
            check_allowed(encoder, (), pointer)
        assert hub is not None
        shown, roots = encoder.hub, {"hub": hub.folder}
        folder = hub.fetch(encoder, pointer, lambda partial: _configs(encoder, partial, shown, kind, roots, pointer))
    else:
        assert encoder.path is not None
        shown = encoder.path
        folder = resolve(shown, roots, pointer=pointer)
        if not is_folder(folder):
            detail = f"there is no folder {shown!r}"
            raise encoder_error("encoder.not_found", detail, "is it below models://?", pointer)
    config, processor, needed = _configs(encoder, folder, shown, kind, roots, pointer)
    weights, tensors = _weights(folder, shown, roots, pointer)
    if encoder.pooling == "cls" and kind != "text" and not any(_is_class_token(name) for name in tensors):
        raise no_class_token("its weights hold none", pointer)
    others = (_below(folder, name, roots, pointer) for name in (CONFIG, needed, *_READ_TOO))
    files = sorted({*weights, *(path for path in others if path is not None)}, key=lambda path: path.name)
    return PretrainedFiles(folder, config, processor, tuple(files), tensors)


def _configs(
    encoder: PretrainedEncoder, folder: Path, shown: str, kind: str, roots: Mapping[str, Path], pointer: str
) -> tuple[dict[str, Any], dict[str, Any], str]:
    """The model's config and its processor's, and the name of the file that turns a sample into its input."""
    config = _json(folder, CONFIG, roots, pointer)
    if config is None:
        raise encoder_error("encoder.not_found", f"{shown!r} has no {CONFIG}", _SAVE, pointer)
    if "auto_map" in config:
        detail = f"{CONFIG} of {shown!r} asks for code of its own"
        raise encoder_error(
            "encoder.remote_code", detail, "no model's own code is run here; take one that needs none", pointer
        )
    if not isinstance(config.get("model_type"), str):
        raise encoder_error("encoder.malformed", f"{CONFIG} of {shown!r} has no model_type", _SAVE, pointer)
    check_blocks(encoder, config, kind, pointer)
    processor = _json(folder, PROCESSOR, roots, pointer) or {}
    needed = _NEEDED[kind]
    if _below(folder, needed, roots, pointer) is None:
        hint = "save the tokenizer as a fast one" if needed == TOKENIZER else "save the model's processor beside it"
        raise encoder_error("encoder.not_found", f"{shown!r} has no {needed}, which {kind} needs", hint, pointer)
    check_processor(processor, shown, kind, pointer)
    return config, processor, needed


def names_model(encoder: PretrainedEncoder, modality: str) -> str:
    """Pointer to the field that names the model, within the modality's pointer."""
    return f"{modality}/encoder/{'path' if encoder.hub is None else 'hub'}"


def pretrained_issues(
    spec: DatasetSpec, roots: Mapping[str, Path], pointer: str, allow_hub: Sequence[str] = ()
) -> list[Issue]:
    """What is wrong with the models that the modalities name. `pointer` is that of the data set; `allow_hub` as in
    `core.data.hub_access`. What a model on the hub has is not looked up: a worker does that."""
    found: list[Issue] = []
    for index, modality in enumerate(spec.modalities):
        encoder = pretrained_of(modality)
        if encoder is not None:
            where = names_model(encoder, f"{pointer}/modalities/{index}")
            try:
                if encoder.hub is not None:
                    check_allowed(encoder, allow_hub, where)
                else:
                    check_frames(modality, find_pretrained(encoder, modality.type, roots, where), where)
            except (SpecError, DataError) as error:
                found += error.issues
    return found


def check_frames(modality: Modality, files: PretrainedFiles, pointer: str) -> None:
    """Raises DataError where a model of clips wants another number of frames. `pointer`: of a field of the encoder."""
    if isinstance(modality, VideoModality) and files.frames not in (None, modality.preprocess.frames):
        raise encoder_error(
            "encoder.frames",
            f"the model takes clips of {files.frames} frames; they have {modality.preprocess.frames}",
            f"set preprocess.frames to {files.frames}",
            f"{_modality_of(pointer)}/preprocess/frames",
        )


def no_class_token(why: str, pointer: str) -> DataError:
    """Of a model that `pooling: cls` cannot be asked of. `pointer`: of a field of the encoder."""
    return encoder_error(
        "encoder.no_class_token",
        f"the model puts no token for the whole sample in front: {why}",
        "set pooling to 'mean'",
        f"{_modality_of(pointer)}/encoder/pooling",
    )


def reads_nothing(samples: int, why: str, pointer: str) -> DataError:
    """Of a model for which no sample will do: it is not the samples then. `pointer`: of a field of the encoder."""
    return encoder_error(
        "encoder.unusable",
        f"the model can read none of {samples:,} samples; of the last one: {why}",
        "do its processor and its config fit, and the modality's preprocess?",
        pointer,
    )


def _is_class_token(tensor: str) -> bool:
    return tensor.rpartition(".")[2] in _CLASS_TOKENS


def _modality_of(pointer: str) -> str:
    """Of `.../encoder/path`."""
    return pointer.removesuffix("/").rpartition("/encoder/")[0] if "/encoder/" in pointer else pointer


def pretrained_of(modality: Modality) -> PretrainedEncoder | None:
    """The modality's encoder, where it is a model of `transformers`."""
    return modality.encoder if isinstance(modality.encoder, PretrainedEncoder) else None


_SAVE = "it is a folder that save_pretrained(..., safe_serialization=True) wrote"


def _weights(folder: Path, shown: str, roots: Mapping[str, Path], pointer: str) -> tuple[list[Path], frozenset[str]]:
    """The files, and the names of the tensors in them."""
    there = sorted(os.listdir(folder))
    names = [name for name in there if name.endswith(".safetensors")]
    if not names:
        pickled = any(name.endswith((".bin", ".pt", ".pth", ".ckpt")) for name in there)
        detail = f"{shown!r} has no safetensors" + (", only pickled weights, which are never read" if pickled else "")
        raise encoder_error("encoder.no_safetensors", detail, _SAVE, pointer)
    found: list[Path] = []
    tensors: set[str] = set()
    for name in names:
        path = _below(folder, name, roots, pointer)
        inside = None if path is None else _tensors(path)
        if path is None or inside is None:
            raise encoder_error(
                "encoder.malformed", f"{name} of {shown!r} is no whole safetensors file", _SAVE, pointer
            )
        found.append(path)
        tensors |= inside
    return found, frozenset(tensors)


def _tensors(path: Path) -> set[str] | None:
    """Names of the tensors by the header; None where it is none, or the file not as long as it says."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or not 2 <= length <= min(_LARGEST_HEADER, size - 8):
            return None
        try:
            header = json.loads(file.read(length))
            ends = {name: tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"}
            return set(ends) if 8 + length + max(ends.values(), default=0) == size else None
        except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError):
            return None


def _json(folder: Path, name: str, roots: Mapping[str, Path], pointer: str) -> dict[str, Any] | None:
    path = _below(folder, name, roots, pointer)
    if path is None:
        return None
    try:
        if path.stat().st_size > _LARGEST_JSON:
            raise ValueError("it is too large")
        found = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return found
    except (OSError, ValueError, RecursionError) as error:
        raise encoder_error(
            "encoder.malformed", f"{name} cannot be read: {str(error)[:100]}", _SAVE, pointer
        ) from error
    raise encoder_error("encoder.malformed", f"{name} holds no JSON object", _SAVE, pointer)


def _below(folder: Path, name: str, roots: Mapping[str, Path], pointer: str) -> Path | None:
    """The file of that name; None where there is none. A link must lead below a root."""
    path = resolve(name, roots, base=folder, pointer=pointer)
    return path if is_file(path) else None
