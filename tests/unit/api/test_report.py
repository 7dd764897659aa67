"""The report's numbers, its coordinates, and what becomes of names that are markup."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from typing import Any

import pytest

from api.report import render
from api.report.markdown import escape
from api.report.plots import cost_plot, nice, score_plot, weight_plots
from api.report.rows import Units, difference_row, summary_row
from core.jobs.comparison import Comparison, Outcome, compare
from core.jobs.experiment_views import ExperimentStatus, ExperimentView
from core.jobs.state import JobStatus

EVIL = '</pre></title><script>alert(1)</script> | [x](javascript:y) `z` _a_ & "q"\n\n# h'
PERCENT = Units.of("accuracy")


def result(score: float, seconds: float = 2.0, **more: Any) -> dict[str, Any]:
    return {
        "answer": "fused",
        "test_accuracy": score,
        "test": [{"head": "audio", "accuracy": 0.5}, {"head": "fused", "accuracy": score}],
        "weights": {"audio": 0.25, "fused": 0.75},
        "cost": {"training": {"seconds": seconds, "samples": 1200}},
        **more,
    }


def comparison(names: tuple[str, ...] = ("naive", "online"), seeds: int = 3, **more: Any) -> Comparison:
    outcomes = [
        Outcome(
            strategy=name,
            seed=seed,
            job_id=f"job_{place}_{seed}",
            result=result(0.5 + 0.125 * place + 0.03125 * seed, 2.0 + place, **more),
            weights={0: {"audio": 0.5, "fused": 0.5}, 1: {"audio": 0.25, "fused": 0.75}} if place else {},
        )
        for place, name in enumerate(names)
        for seed in range(seeds)
    ]
    return compare(names, outcomes)


def view(names: tuple[str, ...] = ("naive", "online"), name: str = "two", **changes: Any) -> ExperimentView:
    strategies = [{"name": each, "description": f"{each} described", "changes": {}} for each in names]
    whole: dict[str, Any] = {
        "id": "exp_1",
        "project": "default",
        "name": name,
        "status": ExperimentStatus.SUCCEEDED,
        "counts": dict.fromkeys(JobStatus, 0) | {JobStatus.SUCCEEDED: 6},
        "jobs": (),
        "spec": {"name": name, "strategies": strategies, "metadata": {name: name}},
        "strategies": names,
        "metadata": {},
        "warnings": (),
        "created_at": datetime(2026, 1, 2, tzinfo=UTC),
        "started_at": None,
        "finished_at": None,
    }
    return ExperimentView(**{**whole, **changes})


def drawings(page: str) -> list[ET.Element]:
    return [ET.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)]


def test_rows_say_percent_and_points() -> None:
    found = comparison()
    row = summary_row(found.strategies[0], PERCENT)
    assert (row.seeds, row.test, row.interval) == ("3 of 3", "53.1 ± 3.1", "45.4 to 60.9")
    assert (row.seconds, row.phases, row.samples) == ("2", "training 2", "1,200")
    assert (row.answers, row.weights) == ("fused (3)", "audio 0.25, fused 0.75")
    difference = difference_row(found.to_reference[0], PERCENT)
    assert (difference.mean, difference.se, difference.interval) == ("+12.5", "0.0", "+12.5 to +12.5")
    assert (difference.pairs, difference.verdict) == ("3", "above")
    assert difference_row(found.to_best[0], PERCENT).verdict == "below"


def test_other_metrics_keep_their_own_unit() -> None:
    units = Units.of("mean_squared_error")
    assert (units.metric, units.differences) == ("test mean squared error", "mean squared error")
    assert (units.score(0.5), units.signed(0.25), units.score(None)) == ("0.5000", "+0.2500", "")


def test_one_seed_has_no_interval_and_no_verdict() -> None:
    found = comparison(seeds=1)
    assert (summary_row(found.strategies[0], PERCENT).test, summary_row(found.strategies[0], PERCENT).interval) == (
        "50.0",
        "",
    )
    assert difference_row(found.to_reference[0], PERCENT).verdict == ""


def test_every_seed_is_drawn_where_it_belongs() -> None:
    plot = score_plot(comparison(), PERCENT)
    assert plot is not None
    naive, online = plot.bars
    assert list(naive.points) == sorted(naive.points)
    assert naive.mean == pytest.approx(naive.points[1], abs=0.02)
    assert naive.interval is not None
    assert naive.interval[0] < naive.points[0] < naive.points[2] < naive.interval[1]
    step = naive.points[2] - naive.points[0]
    assert online.points[0] - naive.points[0] == pytest.approx(2 * step, abs=0.05)  # 0.125 is twice 0.0625
    assert all(plot.left <= tick.at <= plot.right for tick in plot.ticks)
    assert [tick.label for tick in plot.ticks] == [f"{100 * value:.1f}" for value in nice(0.4535, 0.7339)]


def test_cost_lies_along_x_and_score_upwards() -> None:
    plot = cost_plot(comparison(), PERCENT)
    assert plot is not None
    naive, online = plot.marks
    assert naive.x < online.x
    assert naive.y > online.y  # SVG's y grows downwards
    assert (naive.x - plot.left) / (online.x - plot.left) == pytest.approx(2 / 3, abs=0.001)


def test_weights_are_drawn_for_those_that_estimate() -> None:
    (plot,) = weight_plots(comparison())
    assert plot.strategy == "online"
    audio, fused = plot.curves
    assert (audio.points[0], fused.points[0]) == ((plot.left, 87.0), (plot.left, 87.0))  # one half
    assert audio.points[1] == (plot.right, pytest.approx(124.5))
    assert [tick.label for tick in plot.x_ticks] == ["1", "2"]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.62, 0.78, [0.65, 0.7, 0.75]),
        (-3.0, 12.0, [0.0, 5.0, 10.0]),
        (2.0, 2.0, [2.0]),
    ],
)
def test_ticks_are_round_numbers(low: float, high: float, expected: list[float]) -> None:
    assert nice(low, high) == pytest.approx(expected)


def test_nothing_measured_draws_nothing() -> None:
    empty = compare(["a", "b"], [])
    assert score_plot(empty, PERCENT) is cost_plot(empty, PERCENT) is None
    page = render(view(("a", "b"), status=ExperimentStatus.RUNNING), empty, "html")
    assert "<svg" not in page
    assert "Jobs still run" in page
    assert "Jobs still run" in render(view(("a", "b"), status=ExperimentStatus.QUEUED), empty, "md")


def test_equal_scores_can_be_drawn() -> None:
    outcomes = [Outcome(strategy="a", seed=seed, job_id="x", result=result(0.0, 0.0)) for seed in range(2)]
    page = render(view(("a",)), compare(["a"], outcomes), "html")
    assert "nan" not in page
    assert len(drawings(page)) == 2


def test_a_page_is_well_formed_and_escapes_what_the_client_wrote() -> None:
    names = ("naive", EVIL)
    page = render(view(names, name=EVIL), comparison(names, answer=EVIL), "html")
    assert "<script" not in page
    assert page.count("</pre>") == 1
    assert page.count("</title>") == 1 + sum(len(svg.findall(".//{*}title")) for svg in drawings(page))
    assert len(drawings(page)) == 3
    assert not re.search(r"(?:src|href|url\(|@import)", re.sub(r"&lt;.*?\n", "", page))


def test_markdown_stays_a_table_whatever_the_client_wrote() -> None:
    names = ("naive", EVIL)
    text = render(view(names, name=EVIL), comparison(names, answer=EVIL), "md")
    tables, _, rest = text.partition("The experiment as it was submitted, with every default written out:\n\n")
    assert "<script" not in tables
    assert "](" not in tables.replace("\\](", "")
    assert [line for line in tables.splitlines() if line.startswith("# ")] == [f"# {escape(EVIL)}"]
    code = rest.rstrip("\n").splitlines()
    assert code[0] == "    {"
    assert all(line.startswith("    ") for line in code)
    for block in re.findall(r"(?:^\|.*\n)+", tables, flags=re.MULTILINE):
        columns = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(columns) == 1, block


def test_the_two_reports_say_the_same_numbers() -> None:
    page, text = (render(view(), comparison(), format) for format in ("html", "md"))
    for number in ("53.1 ± 3.1", "65.6 ± 3.1", "+12.5 to +12.5", "1,200", "training 3", "audio 0.25, fused 0.75"):
        assert number in page
        assert number in text
    assert render(view(), comparison(), "html") == page


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("heads_average", "heads_average"),
        ("_x_", "\\_x\\_"),
        ("a|b\\", "a\\|b\\\\"),
        ("<b>&", "&lt;b&gt;&amp;"),
        ("a\r\n# b\u2028c", "a # b c"),
        ("[x](y) `c` *e* ~s~", "\\[x\\](y) \\`c\\` \\*e\\* \\~s\\~"),
        (3, "3"),
    ],
)
def test_markdown_takes_text_for_text(text: object, expected: str) -> None:
    assert escape(text) == expected
