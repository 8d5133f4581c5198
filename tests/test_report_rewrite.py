"""What records of rewritings show: charts and words."""

from __future__ import annotations

import re
from typing import Any

import pytest

from drawing import plot_of, table_of
from sample_rewrite import EXPLAINED, RUNGS, sample_rewrite, steps
from sample_tasks import sample_tasks
from test_report import words_of
from test_scales import NOT_A_VERDICT, VERDICTS
from unexplained.bars import replaced
from unexplained.record import Record
from unexplained.report import plots, render, text_table


@pytest.mark.parametrize("make", [sample_rewrite, sample_tasks])
def test_no_word_of_the_pages_is_a_verdict(make: Any) -> None:
    assert not VERDICTS.findall(NOT_A_VERDICT.sub("", words_of(render(make()))))


def listed(html: str) -> set[str]:
    """The terms of a page's glossary."""
    section = html[html.index('id="glossary"') : html.index('id="reproduce"')]
    return set(re.findall(r"<dt>([^<]*)</dt>", section))


def test_the_terms_of_the_pages_are_in_their_glossaries() -> None:
    html = render(sample_rewrite())
    assert {"break-even", "random order", "written program", "component", "mean ablation",
            "weaker model", "rung", "bits", "fit part", "FLOPs", "bigram"} <= listed(html)  # fmt: skip
    assert "slope" not in listed(html)


# A rewriting


@pytest.fixture
def record() -> Record:
    return sample_rewrite()


def test_every_order_has_a_line_and_a_dashed_one_in_its_colour(record: Record) -> None:
    plot = plot_of(record)
    assert plot is not None
    assert [line.style for line in plot.lines] == ["hue0", "hue1", "hue0 broken", "hue1 broken"]
    low, high = _ends(plot)
    for line, losses in zip(plot.lines, EXPLAINED.values(), strict=False):
        # log2 of 1, 2, 4, 8, 10 as shares of log2 10 = 3.3219.
        places = [dot.x for dot in line.dots]
        assert places == pytest.approx([0, 30.1, 60.21, 90.31, 100], abs=0.01)
        heights = [100 - 100 * (loss - low) / (high - low) for loss in losses]
        assert [dot.y for dot in line.dots] == pytest.approx(heights, abs=0.05)


def _ends(plot: plots.ChartPlot) -> tuple[float, float]:
    """The ends of the axis of losses, from two of its ticks."""
    one, two = ((float(tick.words), tick.at) for tick in (plot.up[0], plot.up[-1]))
    per = (two[0] - one[0]) / (one[1] - two[1])
    return one[0] - per * (100 - one[1]), one[0] + per * one[1]


def test_a_loss_far_above_is_an_arrow_and_does_not_stretch_the_chart(record: Record) -> None:
    plot = plot_of(record)
    assert plot is not None and _ends(plot)[1] < 10
    for line in plot.lines[2:]:
        assert [dot.beyond for dot in line.dots] == ["", "", "", "", "up"]
        assert line.dots[-1].y == 0 and line.dots[-1].value == "42.00"
    assert plot.outside == ("uniform 10.80",)
    assert "Too far off to be drawn: uniform 10.80." in words_of(render(record))


def test_what_it_is_held_against_is_named_at_the_right_from_the_highest_loss_down(
    record: Record,
) -> None:
    plot = plot_of(record)
    assert plot is not None
    names = [one.first for one in plot.margin]
    assert names == ["unigram", "bigram", "rung-1", "rung-2", "rung-3", "intact", "rung-6"]
    assert {one.role for one in plot.held} == {"intact", "weaker", "baseline"}


def test_break_even_names_the_step_at_which_it_was_too_many(record: Record) -> None:
    rows = table_of(record, "counts")
    assert list(rows) == list(RUNGS)
    assert rows["rung-1"].cells == (*("8, not 10; 8, not 10",) * 2, "ties with rung-1")
    assert rows["rung-2"].cells[:2] == ("4, not 8; 4, not 8", "4, not 8; 2, not 4")
    assert "below the intact model's" in str(rows["rung-6"].cells[0])
    counts = table_of(record, "by-order")
    assert counts["rung-3"].cells == (2, 2, 2, 1) and counts["rung-6"].cells == (None,) * 4
    assert replaced.up_to(steps(), 0, 10) == "all 10"
    assert replaced.up_to(steps(), 0, 0) == "none, not 1"


def test_the_differences_that_places_are_read_from_stand_beside_them(record: Record) -> None:
    places, differences = table_of(record, "steps"), table_of(record, "differences")
    assert list(places) == list(differences)
    for one in steps():
        key = f"{one.order + 1}-{one.count}"
        assert places[key].cells == (one.explained, one.ablated, one.recovered, one.place.place)
        found = {c.rung: c.difference for c in one.place.comparisons}
        assert differences[key].cells == tuple(found[name] for name in RUNGS)


def test_the_explained_model_is_named_by_its_size_and_not_by_all_of_its_parts(
    record: Record,
) -> None:
    assert "explained: L0.H0" not in render(record) + text_table(record, full=True)
    row = table_of(record, "conditions")["all 10 components explained"]
    assert row.role == "explanation"


def test_a_program_stands_among_the_bars_with_its_control(record: Record) -> None:
    rows = table_of(record, "recovered")
    program, control = (rows[name] for name in ("bigram and copy", "bigram and copy, shuffled"))
    assert (program.cells[0].value, control.cells[0].value) == (3.9, 9.6)
    assert program.cells[1] == "between rung-2 and rung-3" and control.cells[1] == "below all"
    assert table_of(record, "lengths")["bigram and copy"].cells == (
        7_915_760,
        2_448,
        7_913_312,
        None,
    )


def test_a_rewriting_without_weaker_models_programs_or_a_scale_is_drawn_too() -> None:
    words = words_of(render(sample_rewrite(bare=True)))
    for absent in ("Break-even", "Written programs", "Against baselines", "Place"):
        assert absent not in words
    assert "Explanations in place" in words


def test_many_components_are_folded(record: Record) -> None:
    assert "<details><summary>All" not in render(record)
    many = sample_rewrite(times=3)
    assert "<details><summary>All 30 components</summary>" in render(many)
    assert "L0.H1.2" not in text_table(many) and "L0.H1.2" in text_table(many, full=True)
