"""What every part of a spec shares: frozen, closed to unknown fields, strict about scalars.

Scalars are strict by alias rather than by model: JSON lists must still become tuples, but `false` is not an integer
(schemathesis finds a service that thinks so) and `"12"` is not a number.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, Strict
from pydantic_core import PydanticCustomError

from core.attribute_docs import DocumentedModel

FUSED = "fused"
"""The name of the head over the concatenated features; no modality may be called so."""
FINE_TUNED, AVERAGE, POOL = "fused_fine_tuned", "heads_average", "heads_pool"
"""What else a model may answer with, beside its heads; no modality may be called so."""

Int = Annotated[int, Strict()]
Float = Annotated[float, Strict()]
Bool = Annotated[bool, Strict()]
Positive = Annotated[int, Strict(), Field(ge=1)]
Seed = Annotated[int, Strict(), Field(ge=0, lt=2**31)]
Fraction = Annotated[float, Strict(), Field(gt=0.0, lt=1.0)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_\-]{0,62}$")]
"""Names that become tensor prefixes, head names and metric labels: letters, digits, `_` and `-`, a letter first."""
ColumnName = Annotated[str, Field(min_length=1, max_length=256)]
Uri = Annotated[str, Field(min_length=1, max_length=2048)]


class SpecModel(DocumentedModel):
    """Base of every spec part."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def misplaced(message: str, *at: str | int) -> PydanticCustomError:
    """An error of a model as a whole that belongs to one of its fields: `at` is the way there, union tags included."""
    return PydanticCustomError("value_error", "{message}", {"message": message, "at": at})
