"""The page and tables of narrow tasks. Every number here is invented."""

from __future__ import annotations

import doctest
import importlib
import re
from itertools import pairwise
from pathlib import Path

import pytest

from sample_rows import HOSTILE_DOMAIN, refused
from sample_tasks import COUNTS, near, points, sample_tasks, task
from test_report import PAYLOAD, assert_harmless, rows_of, swap_texts, words_of
from test_report_rewrite import assert_links, assert_notes, listed
from test_scales import NOT_A_VERDICT, VERDICTS
from unexplained.record import Number, TasksRecord, load_record
from unexplained.record import format as fmt
from unexplained.record.tasks import Task
from unexplained.report import narrow, panels, render, text_table
from unexplained.report.terms import WHOLE


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables are as wide as the terminal; what they say here must not depend on whose it is."""
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture(scope="module")
def record() -> TasksRecord:
    return sample_tasks()


@pytest.fixture(scope="module")
def html(record: TasksRecord) -> str:
    return render(record)


@pytest.fixture(scope="module")
def by_name(record: TasksRecord) -> dict[str, Task]:
    return {task.name: task for task in record.tasks}


def last_of(f: float, accuracy: float, whole: float = 0.5, ablated: float = 0.1) -> Task:
    """A task with so much recovered by loss, and so many right, with all components replaced."""
    return task("a task", whole, ablated, points((f,) * 4, (accuracy,) * 4), near(0.4))


def test_the_page_has_every_number_and_runs_nothing(record: TasksRecord, html: str) -> None:
    assert_harmless(html)
    assert_links(html)
    words = words_of(html)
    for one in record.tasks:
        numbers = [one.intact, one.accuracy, one.ablated, one.jump]
        numbers += [n for w in one.weaker for n in (w.loss, w.accuracy)]
        for p in one.points:
            numbers += [p.loss, p.recovered, p.accuracy, *([p.gap] if p.gap else [])]
        for number in numbers:
            assert str(fmt.show(number)) in words
        assert one.says in words
    assert words.count(", ".join(record.order)) == 2  # Above the steps, and to reproduce.
    assert HOSTILE_DOMAIN in words
    assert "too few documents for an interval (2; it takes 5)" in words


def test_no_field_of_tasks_can_put_anything_into_the_page(record: TasksRecord) -> None:
    dumped = swap_texts(record.model_dump(), PAYLOAD)
    assert isinstance(dumped, dict)
    hostile = TasksRecord.model_validate(dumped | {"kind": "tasks"})
    assert hostile.tasks[0].name.endswith(PAYLOAD)
    html = render(hostile)
    assert html.count("alert(1)") > 20
    assert_harmless(html)
    assert "\x1b" not in text_table(hostile) and "\u202e" not in text_table(hostile)


# Where loss and accuracy part


def test_accuracy_is_put_on_the_scale_of_the_fraction_recovered(by_name: dict[str, Task]) -> None:
    # (0.3 - 0.1) / (0.5 - 0.1), and its interval of 0.02 either way as a share of 0.4.
    found = narrow.by_accuracy(by_name["webmix"])
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.45, 0.55))
    assert narrow.by_accuracy(by_name["repeats"]).value == pytest.approx(0.1)
    assert narrow.by_accuracy(last_of(0.5, 0.5)).value == pytest.approx(1)
    assert narrow.by_accuracy(last_of(0.5, 0.1)).value == pytest.approx(0)
    assert narrow.by_accuracy(last_of(0.5, 0.05)).value == pytest.approx(-0.125)


def test_an_accuracy_that_ablation_hardly_lowers_has_no_such_scale(
    by_name: dict[str, Task], html: str
) -> None:
    found = narrow.by_accuracy(by_name[HOSTILE_DOMAIN])
    assert found.value is None and found.refused == narrow.NO_ROOM
    assert narrow.NO_ROOM in words_of(html)
    # One document: 47.1% by accuracy would stand without an interval.
    one = Number(value=0.3, unit="share")
    for name in ("accuracy", "ablated"):
        few = last_of(0.5, 0.3).model_copy(update={name: one})
        assert narrow.by_accuracy(few).refused == narrow.FEW
    own = Number(value=0.4, low=0.3, high=0.5, unit="share")
    assert narrow.by_accuracy(last_of(0.5, 0.3).model_copy(update={"by_accuracy": own})) == own
    missing = last_of(0.5, 0.3).model_copy(update={"ablated": refused()})
    assert narrow.by_accuracy(missing).refused == "an accuracy was refused"
    empty = last_of(0.5, 0.3).model_copy(update={"points": ()})
    assert narrow.by_accuracy(empty).value is None and narrow.apart(empty) is None


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
    assert narrow.apart(last_of(f, accuracy)) is different


def test_a_task_whose_loss_was_refused_neither_agrees_nor_disagrees(
    by_name: dict[str, Task],
) -> None:
    assert narrow.apart(by_name[HOSTILE_DOMAIN]) is None
    assert narrow.between(by_name[HOSTILE_DOMAIN]) is None


def test_the_disagreement_is_named_above_and_marked_in_list_and_chart(
    record: TasksRecord, html: str
) -> None:
    said = "On 1 of 3 tasks loss and accuracy disagree, their intervals apart: repeats."
    assert narrow.parted(record) == said
    assert said in words_of(html) and said in " ".join(text_table(record).split())
    assert html.count("loss and accuracy disagree</span>") == 2
    even = record.model_copy(update={"tasks": record.tasks[:1]})
    assert "do not disagree" in narrow.parted(even)
    assert "disagree</span>" not in render(even)
    nothing = record.model_copy(update={"tasks": record.tasks[3:]})
    assert narrow.parted(nothing).startswith("On no task can")


def test_the_tasks_that_are_furthest_apart_come_first(record: TasksRecord, html: str) -> None:
    names = [task.name for task in narrow.by_distance(record)]
    # 0.1 - 0.6; (0.1 - 0.05) / 0.35 - 0.2; 0.5 - 0.5; refused.
    assert names == ["repeats", "news", "webmix", HOSTILE_DOMAIN]
    section = html[html.index('id="part"') : html.index('id="curves"')]
    places = [section.index(f"<b>{name}</b>") for name in names[:3]]
    assert places == sorted(places)
    assert section.count('class="dot k-explanation"') == section.count('class="dot k-fitted"') == 3


def test_a_long_verdict_stands_in_small_below_a_short_one(record: TasksRecord) -> None:
    assert words_of(render(record)).index(record.verdict) < 200
    long = record.model_copy(update={"verdict": "On webmix something holds. " * 30})
    html = render(long)
    assert f'<p class="verdict">{narrow.parted(long)}</p>' in html
    assert words_of(html).count("On webmix something holds.") == 30


# The charts


def test_every_mark_stands_at_its_fraction_and_its_accuracy(record: TasksRecord) -> None:
    panel = panels.panels(record)[0]
    for (count, spot, _), point in zip(sorted(panel.spots), panel.task.points, strict=True):
        assert count == point.count and not spot.beyond
        f, accuracy = point.recovered.value, point.accuracy.value
        assert f is not None and accuracy is not None
        assert spot.x == pytest.approx(
            100 * (f - panel.x.low) / (panel.x.high - panel.x.low), abs=0.01
        )
        assert spot.y == pytest.approx(100 * (1 - accuracy / panel.y.high), abs=0.01)
        assert spot.high < spot.y < spot.low
    corners = [tuple(map(float, corner.split(","))) for corner in panel.lines[0].split()]
    assert corners == [(spot.x, spot.y) for _, spot, _ in sorted(panel.spots)]


def test_a_mark_on_the_dotted_line_keeps_as_much_of_accuracy_as_of_loss(
    record: TasksRecord,
) -> None:
    even, fragile = panels.panels(record)[:2]
    for panel, distance in ((even, 0.0), (fragile, 0.5)):
        assert panel.even is not None
        left, bottom, right, top = panel.even
        _, spot, _ = sorted(panel.spots)[-1]
        on_line = bottom + (top - bottom) * (spot.x - left) / (right - left)
        # By how much of the way from ablated to intact accuracy it lies below.
        assert (spot.y - on_line) / (bottom - top) == pytest.approx(distance, abs=0.002)


def test_what_lies_beyond_a_chart_is_an_arrow_with_its_number(
    record: TasksRecord, html: str
) -> None:
    _, repeats, news = panels.panels(record)
    assert {count: spot.beyond for count, spot, _ in repeats.spots if spot.beyond} == {1: "right"}
    assert {count: spot.beyond for count, spot, _ in news.spots if spot.beyond} == {4: "left"}
    words = words_of(html)
    assert "1 (186.0%)" in words and "4 (−320.0%)" in words


def test_the_numbers_beside_the_marks_do_not_cover_each_other(record: TasksRecord) -> None:
    close = record.tasks[0].model_copy(
        update={"points": points((0.5,) * 4, (0.3, 0.301, 0.302, 0.303))}
    )
    (panel,) = panels.panels(record.model_copy(update={"tasks": (close,)}))
    heights = sorted(y for _, _, y in panel.spots)
    assert all(b - a >= panels.STEP - 0.01 for a, b in pairwise(heights))


def test_what_was_refused_is_named_and_not_drawn(record: TasksRecord, html: str) -> None:
    drawn = panels.panels(record)
    assert [panel.task.name for panel in drawn] == ["webmix", "repeats", "news"]
    assert [panel.omitted for panel in drawn] == [(), (), (2,)]
    words = words_of(html)
    assert "Not drawn, because refused: 2 replaced." in words
    assert f"every fraction recovered was refused: {HOSTILE_DOMAIN}." in words
    nothing = record.model_copy(update={"tasks": record.tasks[3:]})
    assert "<figure" not in render(nothing)
    assert_links(render(nothing))


def test_the_level_lines_are_the_model_the_reference_and_the_ablation(
    record: TasksRecord, html: str
) -> None:
    for panel in panels.panels(record):
        assert [level.words for level in panel.levels] == ["model", "rung-3", "ablated"]
        assert all(b.label - a.label >= panels.GAP - 0.01 for a, b in pairwise(panel.levels))
        assert all(0 <= level.y <= 100 for level in panel.levels)
    alone = record.model_copy(update={"reference": ""})
    assert [level.words for level in panels.panels(alone)[0].levels] == ["model", "ablated"]
    assert "Gap score" in words_of(html) and "Gap score" not in words_of(render(alone))


# The tables


def test_accuracies_stand_in_the_order_of_the_ladder_then_the_model_then_its_steps(
    record: TasksRecord, html: str
) -> None:
    region = html[html.index('aria-label="Accuracy on every task"') :]
    heads = [words_of(h) for h in re.findall(r'<th scope="col">(.*?)</th>', region)]
    assert heads[:10] == ["Task", "rung-1", "rung-2", "rung-3 reference", "The model",
                          *(f"{n} explained" for n in COUNTS), "All ablated"]  # fmt: skip
    rows = rows_of(html, "Accuracy on every task")
    for one in record.tasks:
        numbers = [*(w.accuracy for w in one.weaker), one.accuracy]
        numbers += [*(p.accuracy for p in one.points), one.ablated]
        assert rows[one.name].split() == " ".join(str(fmt.show(n)) for n in numbers).split()


def test_the_tasks_that_appear_most_suddenly_come_first(record: TasksRecord, html: str) -> None:
    rows = rows_of(html, "Where tasks appear on the ladder")
    assert list(rows) == ["repeats", "webmix", "news", HOSTILE_DOMAIN]
    assert rows["repeats"].startswith("95.0% [93.0%, 97.0%] rung-2 and rung-3 10.0%")
    assert rows["news"].startswith("refused")


def test_every_step_says_what_share_of_the_accuracy_is_kept(html: str) -> None:
    rows = rows_of(html, "All steps on repeats")
    # 0.07 of 0.7 and 0.6 of 0.7, as the record has them: with intervals, and refused where they are.
    assert " 10.0% [8.0%, 12.0%] refused" in rows["6 of 6"]
    assert " 85.7% [83.7%, 87.7%] 140.0% " in rows["2 of 6"]
    assert [*rows][:1] == ["none: the model"] and [*rows][-1] == "rung-3 weaker model"


def test_no_word_of_the_page_is_a_verdict(html: str) -> None:
    assert not VERDICTS.findall(NOT_A_VERDICT.sub("", words_of(html)))


def test_the_terms_of_the_page_are_in_its_glossary(record: TasksRecord, html: str) -> None:
    assert {"accuracy", "recovered by accuracy", "gap score in accuracy", "full distribution",
            "narrow task", "component", "fraction recovered", "weaker model"} <= listed(html)  # fmt: skip
    alone = record.model_copy(update={"reference": ""})
    assert "gap score in accuracy" not in listed(render(alone))
    assert len({term.name for term in WHOLE}) == len(WHOLE)


def test_a_record_is_read_back_and_gives_the_same_page(
    record: TasksRecord, html: str, tmp_path: Path
) -> None:
    assert render(load_record(record.save(tmp_path / "tasks.json"))) == html


@pytest.mark.parametrize("columns", [72, 96, 120])
def test_the_terminal_has_it_in_short_and_cuts_no_number(
    record: TasksRecord, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    table = text_table(record)
    assert max(map(len, table.splitlines())) <= columns and "…" not in table
    assert_notes(table)
    cells = set(re.split(r"\s{2,}|\n", table))
    for one in record.tasks:
        for number in (one.accuracy, one.ablated, *(p.accuracy for p in one.points)):
            assert fmt.show(number).value in cells
        for number in (one.points[-1].recovered, narrow.by_accuracy(one), one.jump):
            shown = fmt.show(number)
            assert shown.refused or shown.value in re.sub(r" \[.*", "", "\n".join(cells)).split(
                "\n"
            )
            assert shown.interval in table or (number is one.jump and columns < 96)
    assert re.search(r"\[7.1%, 12.9%\] \*", table) and table.count("] * ") == 1
    assert re.search(r" between *$", table, re.MULTILINE)
    assert "-320.0%" in cells
    many = record.model_copy(
        update={"tasks": tuple(t.model_copy(update={"points": tuple(
            t.points[i % 4].model_copy(update={"count": 2**i}) for i in range(9))})
            for t in record.tasks)}
    )  # fmt: skip
    wide = text_table(many)
    assert max(map(len, wide.splitlines())) <= columns and "256: f" in wide and "…" not in wide


@pytest.mark.parametrize("name", ["narrow", "panels"])
def test_the_examples_in_the_docstrings_hold(name: str) -> None:
    module = importlib.import_module(f"unexplained.report.{name}")
    assert doctest.testmod(module).failed == 0
