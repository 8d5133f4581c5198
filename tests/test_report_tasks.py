"""What a record of narrow tasks shows: where loss and accuracy part, small charts, tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from itertools import pairwise
from typing import Any

import pytest

from drawing import one_block, plot_of, table_of
from sample_rows import HOSTILE_DOMAIN, refused
from sample_tasks import COUNTS, measured, near, sample_tasks, steps, task
from test_report import words_of
from test_report_rewrite import listed
from unexplained.bars import narrow
from unexplained.bars.tasks import OnTask
from unexplained.record import Number, Record
from unexplained.record.blocks import Chart, Forest, Table
from unexplained.record.ids import walk
from unexplained.report import plots, render, text_table
from unexplained.report.drawn import drawn
from unexplained.report.terms import WHOLE


@pytest.fixture
def record() -> Record:
    return sample_tasks()


def last_of(f: float, accuracy: float, whole: float = 0.5, ablated: float = 0.1) -> OnTask:
    """A task with so much recovered by loss, and so many right, with all components replaced."""
    return task("a task", whole, ablated, steps((f,) * 4, (accuracy,) * 4), near(0.4))


def panel(record: Record, name: str) -> plots.ChartPlot | None:
    """A task's chart, placed."""
    return plot_of(record, f"chart of {name}".replace("/", ":"))


# Where loss and accuracy part


@pytest.mark.parametrize(
    ("f", "accuracy", "different"),
    # By accuracy these are 0.5 and 0.1, each within 0.05; by loss within 0.02.
    [
        (0.5, 0.3, False),
        (0.56, 0.3, False),
        (0.58, 0.3, True),
        (0.42, 0.3, True),
        (0.6, 0.14, True),
    ],
)
def test_loss_and_accuracy_disagree_only_where_their_intervals_are_apart(
    f: float, accuracy: float, different: bool
) -> None:
    assert last_of(f, accuracy).apart is different


def test_a_task_of_which_a_number_was_refused_neither_agrees_nor_disagrees() -> None:
    bare = measured()[3]
    assert bare.apart is None and bare.between is None
    one = last_of(0.5, 0.14)
    for missing in (refused(), Number(value=0.1, unit="share")):
        assert replace(one, by_accuracy=missing).apart is None


def test_where_nothing_could_be_tested_nothing_is_said_of_it(record: Record) -> None:
    assert "Holm" in words_of(render(record))
    untold = sample_tasks([replace(one, better=None) for one in measured()])
    assert "Holm" not in words_of(render(untold))


def numbers_of(thing: Any) -> Iterator[Number]:
    """Every number that was measured of a task."""
    if isinstance(thing, Number):
        yield thing
    elif is_dataclass(thing):
        yield from (n for field in fields(thing) for n in numbers_of(getattr(thing, field.name)))
    elif isinstance(thing, dict):
        yield from (n for one in thing.values() for n in numbers_of(one))
    elif isinstance(thing, tuple):
        yield from (n for one in thing for n in numbers_of(one))


def test_every_number_that_was_measured_stands_in_the_record(record: Record) -> None:
    shown = [number for _, number in record.numbers()]
    assert all(number in shown for task in measured() for number in numbers_of(task))


def test_the_disagreement_is_named_above_and_marked_in_chart_and_table(
    record: Record,
) -> None:
    said = "On 1 of 3 tasks loss and accuracy disagree, their intervals apart: repeats."
    assert narrow._parted(measured()) == said and said in words_of(render(record))
    assert render(record).count('class="tag warn">loss and accuracy disagree<') == 1
    assert "repeats (loss and accuracy" in text_table(record, full=True)
    even = measured()[:1]
    assert "do not disagree" in narrow._parted(even)
    assert "accuracy disagree<" not in render(sample_tasks(even))
    assert narrow._parted(measured()[3:]).startswith("On no task can")


def test_the_tasks_that_are_furthest_apart_come_first(record: Record) -> None:
    # 0.1 - 0.6; (0.1 - 0.05) / 0.35 - 0.2; 0.5 - 0.5; refused.
    names = ["repeats", "news", "webmix", HOSTILE_DOMAIN]
    assert list(table_of(record, "tasks")) == [name.replace("/", ":") for name in names]
    _, forest = one_block(record, "forest")
    assert isinstance(forest, Forest)
    assert [track.name for track in forest.tracks] == names
    # By loss and by accuracy, each with a shape of its own.
    assert all(len(track.marks) == 2 for track in forest.tracks)
    html = render(record).partition("</header>")[2]
    assert html.count('class="dot k-explanation"') == html.count('class="dot k-fitted"') == 3


def test_a_long_verdict_is_small(record: Record) -> None:
    assert '<p class="verdict">' in render(record)
    long = record.model_copy(update={"verdict": "On webmix something holds. " * 30})
    assert '<p class="verdict long">' in render(long)


# The charts


def test_a_mark_on_the_dotted_line_keeps_as_much_of_accuracy_as_of_loss(
    record: Record,
) -> None:
    for name, distance in (("webmix", 0.0), ("repeats", 0.5)):
        plot = panel(record, name)
        assert plot is not None and plot.straight is not None
        left, bottom, right, top = plot.straight
        dot = plot.lines[0].dots[-1]
        on_line = bottom + (top - bottom) * (dot.x - left) / (right - left)
        # By how much of the way from ablated to intact accuracy it lies below.
        assert (dot.y - on_line) / (bottom - top) == pytest.approx(distance, abs=0.002)


def test_what_lies_beyond_a_chart_is_an_arrow_with_its_fraction(record: Record) -> None:
    repeats, news = (panel(record, name) for name in ("repeats", "news"))
    assert repeats is not None and news is not None
    assert {d.label: d.beyond for d in repeats.lines[0].dots if d.beyond} == {"1": "right"}
    assert {d.label: d.beyond for d in news.lines[0].dots if d.beyond} == {"4": "left"}
    words = words_of(render(record))
    assert "1 (186.0%)" in words and "4 (−320.0%)" in words


def test_the_numbers_beside_the_marks_do_not_cover_each_other(record: Record) -> None:
    close = replace(measured()[0], steps=steps((0.5,) * 4, (0.3, 0.301, 0.302, 0.303)))
    plot = panel(sample_tasks([close]), "webmix")
    assert plot is not None
    heights = sorted(dot.label_y for dot in plot.lines[0].dots)
    assert all(b - a >= plots.LINE - 0.01 for a, b in pairwise(heights))
    # Marks that stand side by side keep their own heights.
    apart = panel(record, "repeats")
    assert apart is not None and all(dot.label_y == dot.y for dot in apart.lines[0].dots[-2:])


def test_what_was_refused_is_named_and_not_drawn(record: Record) -> None:
    assert panel(record, HOSTILE_DOMAIN) is None
    words = words_of(render(record))
    assert "Not drawn, because refused: explained (2)." in words
    assert f"There is no chart to draw of {HOSTILE_DOMAIN}: every number was refused." in words


def test_the_level_lines_are_the_model_the_reference_and_the_ablation(record: Record) -> None:
    plot = panel(record, "webmix")
    assert plot is not None
    assert [one.first for one in plot.margin] == ["model", "rung-3", "ablated"]
    assert all(b.label - a.label >= plots.WITHIN - 0.01 for a, b in pairwise(plot.margin))  # fmt: skip
    alone = sample_tasks(reference="")
    plot = panel(alone, "webmix")
    assert plot is not None and [one.first for one in plot.margin] == ["model", "ablated"]
    assert "Gap score" in words_of(render(record)) and "Gap score" not in words_of(render(alone))
    assert not any(
        isinstance(b, Chart) and not b.small for _, b in walk(drawn(alone).record.blocks)
    )


# The tables


def test_accuracies_stand_in_the_order_of_the_ladder_then_the_model_then_its_steps(
    record: Record,
) -> None:
    _, table = one_block(record, "accuracies")
    assert isinstance(table, Table) and table.shaded
    heads = [f"{column.heading} {column.note}".strip() for column in table.columns]
    assert heads == ["rung-1 weaker model", "rung-2 weaker model", "rung-3 reference", "The model",
                     *(f"{n} explained" for n in COUNTS), "All ablated"]  # fmt: skip
    for one, row in zip(measured(), table.rows, strict=True):
        numbers = [*(right for _, right in one.weaker.values()), one.accuracy]
        assert list(row.cells) == [
            *numbers,
            *(step.accuracy for step in one.steps.values()),
            one.ablated,
        ]


def test_every_step_says_what_share_of_the_accuracy_is_kept(record: Record) -> None:
    rows = table_of(record, "repeats")
    step = measured()[1].last
    assert rows["6"].cells == (step.loss, step.recovered, step.kept, step.gap)
    assert list(rows) == [
        "intact",
        *(f"{n}" for n in COUNTS),
        *(f"weaker rung-{i}" for i in (1, 2, 3)),
    ]


def test_how_likely_it_is_that_the_reference_does_as_well_is_said(record: Record) -> None:
    row = table_of(record, "tasks")["repeats"]
    assert row.cells[-1] == 0.0137 and row.cells[2:4] == (measured()[1].rise, "rung-2 and rung-3")
    said = words_of(render(record))
    assert "the model with all components explained is not right more often than rung-3" in said


def test_the_terms_of_the_page_are_in_its_glossary(record: Record) -> None:
    assert {"accuracy", "recovered by accuracy", "gap score in accuracy", "full distribution",
            "narrow task", "component", "fraction recovered", "weaker model"} <= listed(render(record))  # fmt: skip
    alone = sample_tasks(reference="")
    assert "gap score in accuracy" not in listed(render(alone))
    assert len({term.name for term in WHOLE}) == len(WHOLE)
