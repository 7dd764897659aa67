"""The templates, filled."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from api.report import markdown, plots, rows
from core.jobs.comparison import Comparison
from core.jobs.experiment_views import ExperimentView

_TEMPLATES = Path(__file__).parent / "templates"


def render(experiment: ExperimentView, comparison: Comparison, format: Literal["html", "md"]) -> str:
    """The report. The same experiment in the same state gives the same text: it is what its ETag is made of."""
    units = rows.Units.of(comparison.metric)
    spec = json.dumps(experiment.spec, indent=2, ensure_ascii=False)
    context = {
        "experiment": experiment,
        "comparison": comparison,
        "title": experiment.name or experiment.id,
        "units": units,
        "jobs": sum(experiment.counts.values()),
        "states": [(status.value, count) for status, count in experiment.counts.items() if count],
        "summary": [rows.summary_row(row, units) for row in comparison.strategies],
        "heads": rows.heads_table(comparison, units),
        "to_reference": [rows.difference_row(row, units) for row in comparison.to_reference],
        "to_best": [rows.difference_row(row, units) for row in comparison.to_best],
        "descriptions": [(each["name"], each["description"]) for each in experiment.spec["strategies"]],
        "spec": spec,
    }
    if format == "md":
        # Indented text (below a paragraph, not a list) is code to its last line, whatever the client wrote.
        context["spec"] = Markup("\n".join(f"    {line}" for line in spec.splitlines()))
        return _markdown().get_template("report.md").render(context)
    context["score_plot"] = plots.score_plot(comparison, units)
    context["cost_plot"] = plots.cost_plot(comparison, units)
    context["weight_plots"] = plots.weight_plots(comparison)
    return _html().get_template("report.html").render(context)


@cache
def _html() -> Environment:
    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


@cache
def _markdown() -> Environment:
    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=False,
        finalize=markdown.escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
