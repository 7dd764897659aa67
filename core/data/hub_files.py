"""What a repository of the hub has, and its files, one by one: through `huggingface_hub`, whose protocol it is.

Only what a model is loaded from is fetched: safetensors, configs, the fast tokenizer. Each file is counted while it
arrives, and kept only if it is what the commit says: by its SHA-256, or by git's SHA-1 where the repository keeps it in
git itself. A connection that breaks is taken up again where it broke.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.data.problems import UNREACHABLE, encoder_error
from core.data.uris import refusal
from core.errors import DataError

log = logging.getLogger(__name__)

_WEIGHTS = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors")
_SMALL = (
    *("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
    *("preprocessor_config.json", "video_preprocessor_config.json", "model.safetensors.index.json"),
)
_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack")
_LARGEST_SMALL = 64 * 2**20
_CHUNK = 2**20
_SECONDS = 30.0
"""How long the hub may be silent."""
_TRIES = 4


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file of a commit."""

    name: str
    size: int
    digest: str
    """SHA-256 of the content (64 digits), or SHA-1 of git's blob (40)."""


@dataclass(frozen=True, slots=True)
class Repository:
    """A commit of a model on the hub."""

    endpoint: str | None
    id: str
    revision: str
    pointer: str
    """Where errors point."""
    rest_seconds: float = 1.0
    """Before the second try; doubled for each further one."""

    def files(self, most_bytes: int) -> list[HubFile]:
        """Those that a model is loaded from, small ones first. Raises DataError `encoder.*`."""
        names = self._names()
        weights = _weights(names)
        if not weights:
            pickled = any(name.endswith(_PICKLED) for name in names)
            why = ", only weights in formats that are never read" if pickled else ""
            detail = f"{self.id!r} has no safetensors{why}"
            raise self._error("encoder.no_safetensors", detail, "take a commit that has model.safetensors")
        found = [self._file(name) for name in [*(name for name in _SMALL if name in names), *weights]]
        large = [file for file in found if file.name in _SMALL and file.size > _LARGEST_SMALL]
        total = sum(file.size for file in found)
        if large or total > most_bytes:
            told = f"{large[0].name} has {large[0].size:,} bytes" if large else f"{total:,} of {most_bytes:,} bytes"
            hint = "take a smaller model, or let the operator raise GBLEND_FEATURES__HUB_BYTES"
            raise self._error("encoder.too_large", f"{self.id!r} is too large: {told}", hint)
        return found

    def fetch(self, file: HubFile, path: Path, moved: Callable[[int], None]) -> None:
        """The file's content at `path`, whole and right, synced. `moved` is told how many bytes there are.

        Raises DataError `encoder.*`, and OSError of this disk. What has arrived stays for the next try.
        """
        partial = path.with_name(f".{path.name}.part")
        for last in (False, True):
            self._patiently(lambda: self._arrive(file, partial, moved))
            if _digest(partial, file) == file.digest:
                partial.replace(path)
                return
            partial.unlink()
            if last:
                detail = f"{file.name} of {self.id!r} does not arrive as the commit has it: its checksum is wrong"
                raise self._error("encoder.malformed", detail, "is there a proxy or a mirror that changes it?")

    def _names(self) -> list[str]:
        hub = _library(self.pointer)
        api = hub.HfApi(endpoint=self.endpoint)
        info = self._patiently(lambda: api.model_info(self.id, revision=self.revision, timeout=_SECONDS))
        if info.sha != self.revision:
            detail = f"the hub has another commit of {self.id!r} under this revision: {str(info.sha)[:40]}"
            raise self._error("encoder.malformed", detail, "give the full hash of a commit")
        names = [str(sibling.rfilename) for sibling in info.siblings or ()]
        for name in names:
            why = refusal(name) or ("it is empty" if not name else None)
            if why is not None:
                detail = f"{self.id!r} lists a file whose name is refused: {why}"
                raise self._error("encoder.malformed", detail, "is this the hub that it should be?")
        return names

    def _file(self, name: str) -> HubFile:
        from huggingface_hub import get_hf_file_metadata

        told = self._patiently(lambda: get_hf_file_metadata(self._url(name), timeout=_SECONDS, endpoint=self.endpoint))
        digest = (told.etag or "").lower()
        is_digest = re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", digest) is not None
        if told.size is None or told.commit_hash != self.revision or not is_digest:
            detail = f"the hub does not say what {name} of {self.id!r} holds in this commit"
            raise self._error("encoder.malformed", detail, "is this the hub that it should be?")
        return HubFile(name, told.size, digest)

    def _url(self, name: str) -> str:
        from huggingface_hub import hf_hub_url

        return hf_hub_url(self.id, name, revision=self.revision, endpoint=self.endpoint)

    def _arrive(self, file: HubFile, partial: Path, moved: Callable[[int], None]) -> None:
        """Fetch what of the file is not there yet."""
        library = _library(self.pointer)
        headers = {**library.utils.build_hf_headers(), "Accept-Encoding": "identity"}
        begun = partial.stat().st_size if partial.exists() else 0
        if begun and begun == file.size:
            return
        if 0 < begun < file.size:
            headers["Range"] = f"bytes={begun}-"
        session = library.utils.get_session()
        with session.stream("GET", self._url(file.name), headers=headers, timeout=_SECONDS) as response:
            if response.status_code not in (200, 206):
                raise _StatusError(response.status_code)
            whole = response.status_code != 206
            with partial.open("wb" if whole else "ab") as out:
                there = 0 if whole else begun
                for chunk in response.iter_bytes():
                    there += len(chunk)
                    if there > file.size:
                        out.truncate(0)
                        detail = f"{file.name} of {self.id!r} is longer than the hub said: {file.size:,} bytes"
                        raise self._error("encoder.too_large", detail, "is this the hub that it should be?")
                    out.write(chunk)
                    moved(len(chunk))
                out.flush()
                os.fsync(out.fileno())
        if there < file.size:
            raise _CutOffError(f"{there:,} of {file.size:,} bytes arrived")

    def _patiently(self, ask: Callable[[], Any]) -> Any:
        """What the hub answers; where the network is at fault it is asked again a few times."""
        _library(self.pointer)
        from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

        # Errors of the transport have no other name that is the same in all versions of the library.
        transport: Any = HfHubHTTPError.__bases__[0]
        why = ""
        for number in range(_TRIES):
            if number:
                log.warning("the hub does not answer as it should; asking again: %s", why)
                time.sleep(self.rest_seconds * 2 ** (number - 1))
            try:
                return ask()
            except OfflineModeIsEnabled as error:
                raise self._unreachable("this worker is told to stay off the network (HF_HUB_OFFLINE)") from error
            except (_CutOffError, _StatusError, transport) as error:
                answered = getattr(error, "response", None)
                status = error.status if isinstance(error, _StatusError) else getattr(answered, "status_code", None)
                if status is not None and status < 500 and status not in (408, 429):
                    raise self._refused(status) from error
                why = f"status {status}" if status is not None else f"{type(error).__name__}: {str(error)[:200]}"
            except (ValueError, KeyError, TypeError) as error:  # what the library makes of an answer that is none
                detail = f"the hub does not answer like one: {type(error).__name__}: {str(error)[:200]}"
                raise self._error("encoder.malformed", detail, "is GBLEND_FEATURES__HUB_ENDPOINT right?") from error
        raise self._unreachable(why)

    def _refused(self, status: int) -> DataError:
        return self._error(
            "encoder.not_found",
            f"the hub has no model {self.id!r} with the commit {self.revision}, or does not show it to this worker "
            f"(status {status})",
            "are id and commit right? A private model needs HF_TOKEN where the workers run",
        )

    def _unreachable(self, why: str) -> DataError:
        return self._error(
            UNREACHABLE,
            f"the hub cannot be reached for {self.id!r}: {why}",
            "try again when the network is there, or have the model saved below models:// and name its path",
        )

    def _error(self, code: str, detail: str, hint: str) -> DataError:
        return encoder_error(code, detail, hint, self.pointer)


class _CutOffError(Exception):
    """The connection ended before the file did, in good order."""


class _StatusError(Exception):
    """The hub answered a request for a file with another status than 200."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def _weights(names: list[str]) -> list[str]:
    """`model.safetensors`, or the parts of it."""
    found = sorted(name for name in names if _WEIGHTS.fullmatch(name))
    return [name for name in found if name == "model.safetensors"] or found


def _digest(path: Path, file: HubFile) -> str:
    git = len(file.digest) == 40
    digest = hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False) if git else hashlib.sha256()
    with path.open("rb") as content:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _library(pointer: str) -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        hint = "pip install 'gblend[hf]', where the workers run"
        raise encoder_error("data.missing_library", "huggingface_hub is not installed here", hint, pointer) from error
    return huggingface_hub
