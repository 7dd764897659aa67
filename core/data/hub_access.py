"""Which models of a hub a spec may name, and where they are kept: what an operator decides. Nothing is fetched here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.data.problems import encoder_error
from core.spec.data import PretrainedEncoder

MOST_BYTES = 50 * 2**30
"""What is kept where the operator says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubAccess:
    """By default there is none."""

    allowed: tuple[str, ...] = ()
    """`owner/name`, `owner/*` or `*` (`GBLEND_FEATURES__ALLOW_HUB`)."""
    folder: Path
    """Where downloaded models lie."""
    most_bytes: int = MOST_BYTES
    """What they may take in all."""
    endpoint: str | None = None
    """URL of the hub; None: what `huggingface_hub` takes by itself."""

    def to_json(self) -> dict[str, Any]:
        """For a training process."""
        return asdict(self) | {"allowed": list(self.allowed), "folder": str(self.folder.absolute())}

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> HubAccess:
        """The inverse of `to_json`."""
        return cls(**{**raw, "allowed": tuple(raw["allowed"]), "folder": Path(raw["folder"])})


def check_allowed(encoder: PretrainedEncoder, allowed: Sequence[str], pointer: str) -> None:
    """Raises DataError `encoder.hub_forbidden` where the operator does not allow the model; `pointer`: of its id."""
    assert encoder.hub is not None
    owner = encoder.hub.partition("/")[0]
    if {"*", f"{owner}/*", encoder.hub}.isdisjoint(allowed):
        raise encoder_error(
            "encoder.hub_forbidden",
            f"the model {encoder.hub!r} may not be fetched from the hub here",
            "have it saved below models:// and name its path, or let the operator add it to GBLEND_FEATURES__ALLOW_HUB",
            pointer,
        )
