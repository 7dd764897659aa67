"""Problems with single rows, gathered until they can be told all at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from core.errors import DataError, GblendError, Issue, Severity

EXAMPLES = 5
UNAVAILABLE = "source.unavailable"
"""An object store is away: no fault of the data, and over some time later."""
UNREACHABLE = "encoder.unreachable"
"""A hub of models is away, likewise."""
NOT_CHECKED = "source.not_checked"
"""A warning: a request may not take as long as it would take to look at the source."""

HINTS = {
    "file.missing": "paths are relative to base_uri, or to the manifest's own folder where it is left out",
    "file.format": "images must be PNG or JPEG, sounds WAV or FLAC, videos MP4, QuickTime, Matroska, WebM or AVI",
    "file.undecodable": "the file is damaged, or is not what its name says",
    "file.truncated": "the file ends before its contents do; copy it again",
    "file.too_slow": "it takes longer than GBLEND_DATA__FILE_SECONDS; make it smaller, or let the operator raise that",
    "file.too_large": "refused before it is decoded; make it smaller",
    "value.missing": "fill the cell in, or drop such rows with on_bad_sample; rows without the modality can stay "
    'where it has "missing": "mask"',
    "row.no_modality": "a row needs at least one modality; fill one in, or drop such rows with on_bad_sample",
    "value.not_finite": "NaN and infinity cannot be trained on; replace them, or drop such rows with on_bad_sample",
    "value.too_long": "shorten the text; max_tokens would not read its end anyhow",
    "value.dtype": "numbers, or lists of numbers, are expected",
    "value.shape": "every sample needs the same shape",
    "target.missing": "every row needs a label",
    "target.unusable_name": "names of classes have at most 500 characters, and no NUL",
    "target.not_a_number": 'write plain numbers with a decimal point; for classes set target.type to "multiclass"',
    "target.not_finite": "replace the value, or drop such rows with on_bad_sample",
    "target.not_zero_or_one": "an array of labels holds a 0 or a 1 per row and label",
}


class SampleError(Exception):
    """One sample's contents cannot be used. `code` is one of HINTS."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class RowProblem:
    """A row (its position in what was read) whose contents cannot be used, and why."""

    row: int
    code: str
    detail: str

    @classmethod
    def of(cls, row: int, error: SampleError) -> RowProblem:
        """The problem of a row whose decoding raised."""
        return cls(row, error.code, error.detail)


@dataclass(slots=True)
class _Alike:
    """How many problems of one code there are at one place, and the first few: there may be millions."""

    count: int = 0
    first: list[RowProblem] = field(default_factory=list)


class RowProblems:
    """All the row problems of a data set, by the part of the spec that they belong to."""

    def __init__(self) -> None:
        self._by_place: dict[tuple[str, str, str], _Alike] = defaultdict(_Alike)
        self.rows: set[int] = set()
        """Rows with at least one problem."""
        self.without_label: set[int] = set()
        """Those of them that have no target: they cannot even be counted to a class."""

    def add(self, pointer: str, what: str, problems: Iterable[RowProblem]) -> None:
        """Keep problems found in `what` (`modality 'audio'`, `the target`), described at `pointer`."""
        for problem in problems:
            alike = self._by_place[pointer, what, problem.code]
            alike.count += 1
            if len(alike.first) < EXAMPLES:
                alike.first.append(problem)
            self.rows.add(problem.row)
            if problem.code.startswith("target."):
                self.without_label.add(problem.row)

    def issues(self, sample: Callable[[int], str], severity: Severity) -> list[Issue]:
        """One issue per place and code, with the count and five examples; `sample` names a row."""
        found: list[Issue] = []
        for (pointer, what, code), alike in self._by_place.items():
            first = alike.first[0]
            rows = "1 row" if alike.count == 1 else f"{alike.count} rows"
            found.append(
                Issue(
                    code=code,
                    severity=severity,
                    detail=f"{what}: {rows} cannot be used; {sample(first.row)}: {first.detail}",
                    pointer=pointer,
                    hint=HINTS[code],
                    sample=sample(first.row),
                    count=alike.count,
                    examples=tuple(f"{sample(problem.row)}: {problem.detail}" for problem in alike.first),
                )
            )
        return found


def is_passing(error: GblendError) -> bool:
    """Whether all that is wrong is that an object store or a hub is away: the same attempt may succeed later."""
    wrong = {issue.code for issue in error.issues if issue.severity == "error"} or {error.code}
    return wrong <= {UNAVAILABLE, UNREACHABLE}


def not_checked(reason: str, *, hint: str = "large shards, or a manifest, are looked at faster") -> DataError:
    """No fault of the data: they are not looked at here and now, but by the worker."""
    detail = f"the data are not looked at before a worker has them: {reason}"
    hint = f"the worker looks at all of them before it trains, and what is wrong will fail the job; {hint}"
    return source_error(NOT_CHECKED, detail, hint=hint, severity="warning")


def source_error(
    code: str,
    detail: str,
    *,
    hint: str | None = None,
    count: int | None = None,
    examples: tuple[str, ...] = (),
    severity: Severity = "error",
) -> DataError:
    """A DataError with one issue; `open_source` adds the pointer."""
    issue = Issue(code=code, detail=detail, hint=hint, count=count, examples=examples, severity=severity)
    return DataError(detail, code=code, hint=hint, issues=(issue,))


def encoder_error(code: str, detail: str, hint: str, pointer: str) -> DataError:
    """What is wrong with a pretrained encoder, at the field that names it."""
    issue = Issue(code=code, detail=detail, hint=hint, pointer=pointer)
    return DataError(detail, code=code, hint=hint, issues=(issue,))
