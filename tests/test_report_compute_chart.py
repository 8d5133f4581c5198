"""The chart of losses on the scale of training compute. Every number here is invented."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sample_compute import BELOW_FLOOR, COMPUTES, FAR, explained, flops, law
from sample_record import sample_record
from sample_rows import HOSTILE_NAME
from test_report import words_of
from test_report_compute import plot_of, scale_of, section_of, with_scale
from unexplained.record import AssayRecord, Number, TextResult
from unexplained.report import compute, markdown_compute, render, text_table


@pytest.fixture(scope="module")
def record() -> AssayRecord:
    return sample_record()


@pytest.fixture(scope="module")
def text(record: AssayRecord) -> TextResult:
    return record.texts[0]


@pytest.fixture(scope="module")
def section(record: AssayRecord) -> str:
    return section_of(render(record))


def test_every_condition_stands_where_the_curve_has_its_loss(text: TextResult) -> None:
    plot = plot_of(text)
    drawn = {c.explained.condition: c for c in plot.conditions}
    found = drawn["strict induction"]
    assert found.x == plot.x.at(found.explained.equals.value or 0)
    assert found.y == plot.from_top(3.61) and not found.beyond and not found.extrapolated
    assert found.low < found.x < found.high and found.open == (False, False)
    assert drawn["intact"].kind == "subject" and drawn["mean"].kind == "ablation"
    # On the corner-to-corner line too: a point beside its own curve would be a wrong picture.
    near = next(path for path, where in plot.lines if where == "near")
    corners = [tuple(map(float, corner.split(","))) for corner in near.split()]
    left, right = next((a, b) for a, b in pairwise(corners) if a[0] <= found.x <= b[0])
    height = left[1] + (right[1] - left[1]) * (found.x - left[0]) / (right[0] - left[0])
    assert abs(height - found.y) < 0.3


def test_the_axis_goes_from_below_the_smallest_rung_to_above_the_largest(text: TextResult) -> None:
    plot = plot_of(text)
    assert 0 < plot.x.at(COMPUTES[0]) < plot.x.at(COMPUTES[-1]) < 100
    assert [number for number, _ in plot.names] == ["1", "2", "3", "4", "5", "6"]
    assert len(plot.dots) == len(scale_of(text).rungs) == 12
    assert len({dot.x for dot in plot.dots}) == 6  # Seeds of a rung share their place.
    for dot in plot.dots:
        assert 0 < dot.high < dot.y < dot.low < 100


@given(st.lists(st.floats(1e8, 1e26), min_size=1, max_size=8))
def test_an_axis_has_few_ticks_and_all_of_them_inside(values: list[float]) -> None:
    axis = compute._powers(values, ())
    assert 2 <= len(axis.ticks) <= 7
    assert all(0 <= axis.at(value) <= 100 for value in (*values, *(v for v, _ in axis.ticks)))


def test_what_lies_beyond_the_fitted_range_is_hollow_and_beyond_the_chart_an_arrow(
    text: TextResult, section: str
) -> None:
    drawn = {c.explained.condition: c for c in plot_of(text).conditions}
    far = {name for name, c in drawn.items() if c.extrapolated}
    assert far == {"intact", "bigram", "affine map, shuffled"}
    assert {n: c.beyond for n, c in drawn.items() if c.beyond} == {"affine map, shuffled": "left"}
    assert drawn["affine map, shuffled"].x == 0
    # Once in the chart and once in the list.
    assert section.count('class="marker hollow"') == 2 * len(far)
    assert section.count('<span class="tag">extrapolated</span>') == len(far)


def test_an_interval_without_an_upper_end_goes_on_to_the_edge(
    text: TextResult, section: str
) -> None:
    drawn = {c.explained.condition: c for c in plot_of(text).conditions}
    found = drawn["strict induction, own amount"]
    assert found.high == 100 and found.open == (False, True)
    assert section.count('class="open"') == sum(sum(c.open) for c in drawn.values())
    assert ", ∞)" in words_of(section)


@pytest.mark.parametrize("kind", ["low", "high"])
def test_a_condition_without_an_interval_has_no_line(record: AssayRecord, kind: str) -> None:
    one = explained("bare", 3.6, {}, equals=flops(8e12, None, None))
    open_end = explained("half", 3.6, {}, equals=flops(8e12, None, 9e12))
    changed = with_scale(record, explained=(one, open_end))
    drawn = {c.explained.condition: c for c in plot_of(changed.texts[0]).conditions}
    assert getattr(drawn["bare"], kind) == drawn["bare"].x
    assert drawn["half"].low == 0 and drawn["half"].open == (True, False)


def test_the_curve_is_whole_within_its_range_and_dashed_on_to_the_edges(text: TextResult) -> None:
    plot = plot_of(text)
    assert [where for _, where in plot.lines] == ["far", "near", "far"]
    ends = [(path.split()[0], path.split()[-1]) for path, _ in plot.lines]
    assert ends[0][1] == ends[1][0] and ends[1][1] == ends[2][0]
    assert ends[0][0].startswith("0,") and ends[2][1].startswith("100,")
    assert plot.fitted == (
        plot.x.at(COMPUTES[0]),
        pytest.approx(plot.x.at(COMPUTES[-1]) - plot.x.at(COMPUTES[0]), abs=0.02),
    )
    heights = [float(c.split(",")[1]) for path, _ in plot.lines for c in path.split()]
    assert heights == sorted(heights)  # More compute, lower loss: down the page.


def test_a_curve_whose_line_ends_with_the_fit_is_carried_on_by_its_formula(
    record: AssayRecord,
) -> None:
    fit = law()
    inside = tuple(p for p in fit.line if fit.least <= p.compute <= fit.greatest)
    short = with_scale(record, law=fit.model_copy(update={"line": inside}))
    whole, cut = plot_of(record.texts[0]), plot_of(short.texts[0])
    for (path, _), (other, _) in zip(whole.lines, cut.lines, strict=True):
        for end in (0, -1):
            ours, theirs = (tuple(map(float, p.split()[end].split(","))) for p in (path, other))
            assert ours == pytest.approx(theirs, abs=0.5)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=60))
def test_names_in_the_margin_stay_in_order_apart_and_in_the_chart(heights: list[float]) -> None:
    found = compute._apart(sorted(heights))
    gap = min(compute.APART, 100 / max(len(found) - 1, 1))
    assert all(b - a >= gap - 0.03 for a, b in pairwise(found))
    assert min(found) >= -0.5 and max(found) <= 100


def test_every_mark_in_the_chart_has_its_letter_in_the_list(text: TextResult, section: str) -> None:
    conditions = plot_of(text).conditions
    letters = [c.key for c in conditions]
    assert letters == list("abcdefghi")
    losses = [c.explained.loss.value or 0 for c in conditions]
    assert losses == sorted(losses, reverse=True)
    listed = re.findall(r'<span class="key">(\w+)</span>', section)
    assert listed == letters
    assert re.findall(r'dy=".32em">(\w+)<tspan class="long"> ', section) == letters[::-1]


def test_what_is_refused_is_listed_below_the_chart_with_its_reason(
    text: TextResult, section: str
) -> None:
    assert [one.condition for one in compute.unplaced(scale_of(text))] == ["uniform", "own output"]
    words = words_of(section)
    assert f"uniform , loss 10.803 [10.773, 10.833]: refused, {FAR}." in words
    assert BELOW_FLOOR in words
    assert "uniform" not in {c.explained.condition for c in plot_of(text).conditions}


def test_without_a_curve_the_rungs_are_drawn_and_the_reason_is_given(record: AssayRecord) -> None:
    refusal = "three numbers are not settled by two rungs"
    gone = Number(value=None, unit="FLOPs", refused=refusal)
    nowhere = tuple(
        one.model_copy(update={"equals": gone, "shares": {}})
        for one in compute.everyone(scale_of(record.texts[0]))
    )
    changed = with_scale(
        record, law=None, refused=refusal, left=(), subject=nowhere[0], explained=nowhere[1:]
    )
    plot = plot_of(changed.texts[0])
    assert len(plot.dots) == 12 and not plot.lines and not plot.conditions and plot.fitted is None
    html = section_of(render(changed))
    assert f"There is no curve: {refusal}." in words_of(html)
    assert 'class="path law' not in html and "Irreducible loss E" not in html
    assert f"no curve: {refusal}" in text_table(changed) and refusal in markdown_compute(
        changed.texts[0]
    )


def test_nothing_to_draw_is_said_and_not_drawn(record: AssayRecord) -> None:
    changed = with_scale(record, rungs=(), law=None, left=(), subject=None, explained=())
    assert compute.plot(changed.texts[0]) is None
    assert "There is no chart to draw" in words_of(render(changed))


def test_the_names_of_others_are_shown_in_the_chart_cut_and_in_the_list_whole(
    text: TextResult, section: str
) -> None:
    drawn = {c.explained.condition: c for c in plot_of(text).conditions}
    assert len(drawn[HOSTILE_NAME].short) == compute.SHORT
    assert drawn["mean"].short == "mean"
    assert " ".join(HOSTILE_NAME.split()) in words_of(section)
