"""What a record of narrow tasks shows: where loss and accuracy part, small charts, tables."""

from __future__ import annotations

from itertools import pairwise

import pytest

from drawing import drawn, render, text_table
from sample_rows import HOSTILE_DOMAIN, refused
from sample_tasks import COUNTS, near, points, sample_tasks, task
from test_report import words_of
from test_report_rewrite import listed, one_block, plot_of, table_of
from unexplained.instruments import tasks
from unexplained.record import Number, TasksRecord
from unexplained.record.blocks import Chart, Forest, Table, walk
from unexplained.record.tasks import Task
from unexplained.report import plots
from unexplained.report.terms import WHOLE


@pytest.fixture
def record() -> TasksRecord:
    return sample_tasks()


def last_of(f: float, accuracy: float, whole: float = 0.5, ablated: float = 0.1) -> Task:
    """A task with so much recovered by loss, and so many right, with all components replaced."""
    return task("a task", whole, ablated, points((f,) * 4, (accuracy,) * 4), near(0.4))


def panel(record: TasksRecord, name: str) -> plots.ChartPlot | None:
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
    assert tasks.apart(last_of(f, accuracy)) is different


def test_a_task_of_which_a_number_was_refused_neither_agrees_nor_disagrees(
    record: TasksRecord,
) -> None:
    bare = record.tasks[3]
    assert tasks.apart(bare) is None and tasks.between(bare) is None
    one = last_of(0.5, 0.14)
    for missing in (None, refused(), Number(value=0.1, unit="share")):
        assert tasks.apart(one.model_copy(update={"by_accuracy": missing})) is None
    assert tasks.apart(one.model_copy(update={"points": ()})) is None


def test_a_record_of_before_says_that_it_does_not_hold_the_share_by_accuracy(
    record: TasksRecord,
) -> None:
    old = tuple(t.model_copy(update={"by_accuracy": None, "better": None}) for t in record.tasks)
    words = words_of(render(record.model_copy(update={"tasks": old})))
    assert "records of before do not hold it." in words and "Holm" not in words


def test_the_disagreement_is_named_above_and_marked_in_chart_and_table(
    record: TasksRecord,
) -> None:
    said = "On 1 of 3 tasks loss and accuracy disagree, their intervals apart: repeats."
    assert tasks.parted(record) == said and said in words_of(render(record))
    assert render(record).count('class="tag warn">loss and accuracy disagree<') == 1
    assert "repeats (loss and accuracy" in text_table(record)
    even = record.model_copy(update={"tasks": record.tasks[:1]})
    assert "do not disagree" in tasks.parted(even)
    assert "accuracy disagree<" not in render(even)
    nothing = record.model_copy(update={"tasks": record.tasks[3:]})
    assert tasks.parted(nothing).startswith("On no task can")


def test_the_tasks_that_are_furthest_apart_come_first(record: TasksRecord) -> None:
    # 0.1 - 0.6; (0.1 - 0.05) / 0.35 - 0.2; 0.5 - 0.5; refused.
    names = ["repeats", "news", "webmix", HOSTILE_DOMAIN]
    assert [task.name for task in tasks.by_distance(record)] == names
    _, forest = one_block(record, "forest")
    assert isinstance(forest, Forest)
    assert [track.name for track in forest.tracks] == names
    # By loss and by accuracy, each with a shape of its own.
    assert all(len(track.marks) == 2 for track in forest.tracks)
    html = render(record)
    assert html.count('class="dot k-explanation"') == html.count('class="dot k-fitted"') == 3


def test_a_long_verdict_is_small(record: TasksRecord) -> None:
    assert '<p class="verdict">' in render(record)
    long = record.model_copy(update={"verdict": "On webmix something holds. " * 30})
    assert '<p class="verdict long">' in render(long)


# The charts


def test_a_mark_on_the_dotted_line_keeps_as_much_of_accuracy_as_of_loss(
    record: TasksRecord,
) -> None:
    for name, distance in (("webmix", 0.0), ("repeats", 0.5)):
        plot = panel(record, name)
        assert plot is not None and plot.straight is not None
        left, bottom, right, top = plot.straight
        dot = plot.lines[0].dots[-1]
        on_line = bottom + (top - bottom) * (dot.x - left) / (right - left)
        # By how much of the way from ablated to intact accuracy it lies below.
        assert (dot.y - on_line) / (bottom - top) == pytest.approx(distance, abs=0.002)


def test_what_lies_beyond_a_chart_is_an_arrow_with_its_fraction(record: TasksRecord) -> None:
    repeats, news = (panel(record, name) for name in ("repeats", "news"))
    assert repeats is not None and news is not None
    assert {d.label: d.beyond for d in repeats.lines[0].dots if d.beyond} == {"1": "right"}
    assert {d.label: d.beyond for d in news.lines[0].dots if d.beyond} == {"4": "left"}
    words = words_of(render(record))
    assert "1 (186.0%)" in words and "4 (−320.0%)" in words


def test_the_numbers_beside_the_marks_do_not_cover_each_other(record: TasksRecord) -> None:
    close = record.tasks[0].model_copy(
        update={"points": points((0.5,) * 4, (0.3, 0.301, 0.302, 0.303))}
    )
    plot = panel(record.model_copy(update={"tasks": (close,)}), "webmix")
    assert plot is not None
    heights = sorted(dot.label_y for dot in plot.lines[0].dots)
    assert all(b - a >= plots.LINE - 0.01 for a, b in pairwise(heights))
    # Marks that stand side by side keep their own heights.
    apart = panel(record, "repeats")
    assert apart is not None and all(dot.label_y == dot.y for dot in apart.lines[0].dots[-2:])


def test_what_was_refused_is_named_and_not_drawn(record: TasksRecord) -> None:
    assert panel(record, HOSTILE_DOMAIN) is None
    words = words_of(render(record))
    assert "Not drawn, because refused: explained (2)." in words
    assert f"There is no chart to draw of {HOSTILE_DOMAIN}: every number was refused." in words


def test_the_level_lines_are_the_model_the_reference_and_the_ablation(record: TasksRecord) -> None:
    plot = panel(record, "webmix")
    assert plot is not None
    assert [one.first for one in plot.margin] == ["model", "rung-3", "ablated"]
    assert all(b.label - a.label >= plots.WITHIN - 0.01 for a, b in pairwise(plot.margin))  # fmt: skip
    alone = record.model_copy(update={"reference": ""})
    plot = panel(alone, "webmix")
    assert plot is not None and [one.first for one in plot.margin] == ["model", "ablated"]
    assert "Gap score" in words_of(render(record)) and "Gap score" not in words_of(render(alone))
    assert not any(
        isinstance(b, Chart) and not b.small for _, b in walk(drawn(alone).record.blocks)
    )


# The tables


def test_accuracies_stand_in_the_order_of_the_ladder_then_the_model_then_its_steps(
    record: TasksRecord,
) -> None:
    _, table = one_block(record, "accuracies")
    assert isinstance(table, Table) and table.shaded
    heads = [f"{column.heading} {column.note}".strip() for column in table.columns]
    assert heads == ["rung-1 weaker model", "rung-2 weaker model", "rung-3 reference", "The model",
                     *(f"{n} explained" for n in COUNTS), "All ablated"]  # fmt: skip
    for one, row in zip(record.tasks, table.rows, strict=True):
        numbers = [*(w.accuracy for w in one.weaker), one.accuracy]
        assert list(row.cells) == [*numbers, *(p.accuracy for p in one.points), one.ablated]


def test_every_step_says_what_share_of_the_accuracy_is_kept(record: TasksRecord) -> None:
    rows = table_of(record, "repeats")
    point = record.tasks[1].points[-1]
    assert rows["6"].cells == (point.loss, point.recovered, point.kept, point.gap)
    assert list(rows) == [
        "intact",
        *(f"{n}" for n in COUNTS),
        *(f"weaker rung-{i}" for i in (1, 2, 3)),
    ]


def test_how_likely_it_is_that_the_reference_does_as_well_is_said(record: TasksRecord) -> None:
    row = table_of(record, "tasks")["repeats"]
    assert row.cells[-1] == 0.0137 and row.cells[2:4] == (record.tasks[1].jump, "rung-2 and rung-3")
    said = words_of(render(record))
    assert "the model with all components explained is not right more often than rung-3" in said


def test_the_terms_of_the_page_are_in_its_glossary(record: TasksRecord) -> None:
    assert {"accuracy", "recovered by accuracy", "gap score in accuracy", "full distribution",
            "narrow task", "component", "fraction recovered", "weaker model"} <= listed(render(record))  # fmt: skip
    alone = record.model_copy(update={"reference": ""})
    assert "gap score in accuracy" not in listed(render(alone))
    assert len({term.name for term in WHOLE}) == len(WHOLE)
