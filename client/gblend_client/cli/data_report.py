"""What `gblend validate` draws: the parts, the classes, the modalities, and what is wrong with any of it.

Everything the service or the data say goes in as `Text`: never markup, never a control code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import unquote

from rich.bar import Bar
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gblend_client.cli.tables import cell, moment, table
from gblend_client.dataset_types import (
    Dataset,
    DatasetStatistics,
    ModalityStatistics,
    Numbers,
    TargetStatistics,
)
from gblend_client.errors import ProblemItem

_PARTS = {"train": "train (T)", "holdout": "holdout (V)"}
_BAR = 24
_ID = 29
"""Characters of a data set's id: half of one is of no use."""
_CLASSES = 12
"""Classes drawn one by one; of more, the largest and the smallest."""
_UNITS = {"seconds": "s", "width": "px", "height": "px"}


def report(
    title: str, statistics: DatasetStatistics | None, errors: Sequence[ProblemItem], warnings: Sequence[ProblemItem]
) -> RenderableType:
    """The whole report."""
    parts: list[RenderableType] = []
    if statistics is not None:
        parts += [_headline(title, statistics), *_drawn(statistics)]
    elif title:
        parts += [cell(title, "bold")]
    for items in (errors, warnings):
        parts += [_problem(item) for item in items]
    parts.append(_verdict(len(errors), len(warnings)))
    return Group(*parts)


def datasets_table(found: Iterable[Dataset]) -> Table:
    """Registered data sets, a row each."""
    drawn = table("data set", "name", "rows", "classes", "modalities", "created")
    drawn.columns[0].justify = drawn.columns[4].justify = "left"
    drawn.columns[0].min_width = _ID
    drawn.columns[4].no_wrap = False
    for each in found:
        statistics = each.statistics
        target = None if statistics is None else statistics.target
        drawn.add_row(
            cell(each.id),
            cell(each.name or ""),
            cell("" if statistics is None else f"{statistics.rows:,}"),
            cell("" if target is None or not target.class_count else str(target.class_count)),
            cell("" if statistics is None else ", ".join(modality.name for modality in statistics.modalities)),
            cell(moment(each.created_at) or ""),
        )
    return drawn


def _headline(title: str, statistics: DatasetStatistics) -> Text:
    facts = [f"{statistics.rows:,} rows"]
    if statistics.left_out:
        facts.append(f"{statistics.left_out:,} in no part")
    if statistics.unusable:
        facts.append(f"{statistics.unusable:,} unusable")
    target = statistics.target
    if target is not None:
        facts.append(f"{target.class_count:,} classes" if target.class_count else f"a {target.type}")
    count = len(statistics.modalities)
    facts.append("1 modality" if count == 1 else f"{count} modalities")
    return Text.assemble((cell(title).plain, "bold"), ": " if title else "", ", ".join(facts))


def _drawn(statistics: DatasetStatistics) -> list[RenderableType]:
    found: list[RenderableType] = []
    if statistics.parts:
        found.append(_parts_table(statistics))
    if statistics.target is not None and statistics.target.classes:
        found.append(_classes_table(statistics.target, [part.name for part in statistics.parts if part.rows]))
    found.append(_modalities_table(statistics.modalities))
    columns = [(each.name, column) for each in statistics.modalities for column in each.columns]
    if columns:
        drawn = table("modality", "column", "type", "missing", "values")
        for place in (1, 2, 4):
            drawn.columns[place].justify = "left"
        drawn.columns[4].no_wrap = False
        for name, column in columns:
            values = _numbers(column.spread) if column.spread is not None else _common(column.common, column.distinct)
            drawn.add_row(cell(name), cell(column.name, "bold"), cell(column.type), _missing(column.missing), values)
        found.append(drawn)
    if not statistics.complete:
        found.append(cell("of the files, a sample was looked at; a training looks at all of them", "dim"))
    return found


def _parts_table(statistics: DatasetStatistics) -> Table:
    most = max(1, *(part.rows for part in statistics.parts))
    total = max(1, sum(part.rows for part in statistics.parts))
    grouped = any(part.groups is not None for part in statistics.parts)
    numbers = any(part.quantity is not None for part in statistics.parts)
    drawn = table("part", "rows", "share", "", *(["groups"] if grouped else []), *(["target"] if numbers else []))
    drawn.columns[0].justify = "left"
    for part in statistics.parts:
        row: list[RenderableType] = [
            cell(_PARTS.get(part.name, part.name), "bold"),
            cell(f"{part.rows:,}"),
            cell(f"{part.rows / total:.1%}"),
            Bar(most, 0, part.rows, width=_BAR, color="cyan"),
        ]
        if grouped:
            held = f" ({', '.join(statistics.holdout_groups[:3])})" if part.name == "holdout" else ""
            row.append(cell(f"{part.groups}{held if len(statistics.holdout_groups) <= 3 else ''}"))
        if numbers:
            row.append(_numbers(part.quantity))
        drawn.add_row(*row)
    return drawn


def _classes_table(target: TargetStatistics, parts: Sequence[str]) -> Table:
    totals = {each.name: sum(each.rows.values()) for each in target.classes}
    ordered = sorted(target.classes, key=lambda each: -totals[each.name])
    shown = list(target.classes)
    left_out = 0
    if len(ordered) > _CLASSES:
        shown = [*ordered[: _CLASSES - 3], *ordered[-2:]]
        left_out = target.class_count - len(shown)
    drawn = table("class", *(_PARTS.get(part, part) for part in parts), "")
    drawn.columns[0].justify = "left"
    for column in drawn.columns[1:-1]:
        column.min_width = 4  # counts are kept where room is scarce; the bar gives way
    drawn.columns[-1].max_width = _BAR
    most = max(1, *totals.values())
    for place, each in enumerate(shown):
        if left_out and place == len(shown) - 2:
            drawn.add_row(cell(f"... {left_out:,} more", "dim"), *("" for _ in parts), "")
        counts = [cell(f"{each.rows.get(part, 0):,}", "" if each.rows.get(part) else "yellow") for part in parts]
        drawn.add_row(cell(each.name, "bold"), *counts, Bar(most, 0, totals[each.name], color="cyan"))
    return drawn


def _modalities_table(modalities: Sequence[ModalityStatistics]) -> Table:
    drawn = table("modality", "type", "missing", "what there is")
    for place in (1, 3):
        drawn.columns[place].justify = "left"
    drawn.columns[3].no_wrap = False
    for each in modalities:
        missing = cell("?", "dim") if each.missing is None else _missing(each.missing)
        drawn.add_row(cell(each.name, "bold"), cell(each.type), missing, cell("; ".join(_facts(each))))
    return drawn


def _facts(modality: ModalityStatistics) -> list[str]:
    found = []
    if modality.files is not None:
        found.append(f"{modality.files:,} files looked into")
    for name, counts in modality.counts.items():
        unit = " Hz" if name == "sample_rate" else ""
        told = ", ".join(f"{value}{unit}" + (f" x {n:,}" if len(counts) > 1 else "") for value, n in counts.items())
        found.append(f"{name.replace('_', ' ')} {told}")
    found += [f"{name} {_range(name, numbers)}" for name, numbers in modality.measures.items()]
    if modality.shape is not None:
        found.append(f"shape {' x '.join('?' if size is None else str(size) for size in modality.shape)}")
    if modality.columns:
        found.append("1 column" if len(modality.columns) == 1 else f"{len(modality.columns)} columns")
    for each in modality.duplicates or ():
        found.append(f"{each.rows:,} of {each.later} also in {each.earlier}")
    return found


def _range(name: str, numbers: Numbers) -> str:
    if name == "bytes":
        return f"{_bytes(numbers.min)} to {_bytes(numbers.max)}"
    unit = f" {_UNITS[name]}" if name in _UNITS else ""
    if numbers.min == numbers.max:
        return f"{numbers.min:.4g}{unit}"
    return f"{numbers.min:.4g} to {numbers.max:.4g}{unit} (median {numbers.median:.4g})"


def _bytes(size: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.3g} {unit}"
        size /= 1024
    return f"{size:.3g} GiB"


def _numbers(numbers: Numbers | None) -> Text:
    if numbers is None:
        return cell("no value", "yellow")
    return cell(f"{numbers.min:.4g} to {numbers.max:.4g} (mean {numbers.mean:.4g})")


def _common(common: Mapping[str, int], distinct: int | None) -> Text:
    told = ", ".join(f"{value} x {rows:,}" for value, rows in common.items())
    more = f", ... {distinct - len(common):,} more" if distinct is not None and distinct > len(common) else ""
    return cell(told + more)


def _missing(rows: int) -> Text:
    return cell(f"{rows:,}", "yellow" if rows else "")


def _problem(item: ProblemItem) -> RenderableType:
    """One problem: what, where (as `--set` names it), the way out, examples."""
    style = "bold red" if item.severity == "error" else "bold yellow"
    lines = [Text.assemble((f"{item.severity} ", style), (place_of(item), "bold"), "  ", (item.code, "dim"))]
    lines.append(cell(f"  {item.detail}"))
    if item.examples:
        more = f"  (of {item.count:,})" if item.count and item.count > len(item.examples) else ""
        lines.append(cell(f"  such as {'; '.join(item.examples)}{more}", "dim"))
    if item.hint:
        lines.append(Text.assemble(("  -> ", "green"), cell(item.hint)))
    return Padding(Group(*lines), (0, 0, 1, 0), expand=False)


def place_of(item: ProblemItem) -> str:
    """`dataset.modalities.1.column` for `#/dataset/modalities/1/column`: what `--set` takes."""
    pointer = item.pointer or ""
    parts = [unquote(part).replace("~1", "/").replace("~0", "~") for part in pointer.removeprefix("#").split("/")[1:]]
    return cell(".".join(parts) or item.parameter or "the spec").plain


def _verdict(errors: int, warnings: int) -> Text:
    odd = "" if not warnings else f", {warnings} to think about" if errors else f"; {warnings} to think about"
    if errors:
        return Text.assemble(("not ready", "bold red"), f": {_counted(errors)} to mend{odd}")
    return Text.assemble(("ready to train", "bold green"), odd)


def _counted(count: int) -> str:
    return "1 problem" if count == 1 else f"{count} problems"
