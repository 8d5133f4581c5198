"""The chart of losses on the scale of training compute. Every number here is invented."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sample_compute import COMPUTES, explained, flops, law
from sample_record import assayed, sample_record, web_text
from sample_rows import HOSTILE_NAME
from test_report import words_of
from test_scales import scale_of
from unexplained.bars.scales import compute, everyone
from unexplained.record import Number, Record, Scale
from unexplained.record.blocks import Compute
from unexplained.record.ids import cells
from unexplained.report import curveplot, render
from unexplained.report.placing import APART, SHORT, apart

ROLES = {"mean": "ablation", "strict induction": "explanation", "affine map": "fitted"}


@pytest.fixture(scope="module")
def record() -> Record:
    return sample_record()


@pytest.fixture(scope="module")
def scale() -> Scale:
    return scale_of(web_text())


@pytest.fixture(scope="module")
def section(record: Record) -> str:
    html = render(record)
    return html[html.index('id="text-1/compute"') : html.index('id="text-1/bars"')]


def placed(scale: Scale) -> curveplot.CurvePlot | None:
    """The picture of a scale, over the numbers of its own section."""
    section = compute(scale, ROLES)  # type: ignore[arg-type]
    numbers = {where.removeprefix("compute/"): number for where, number in cells([section])}
    (block,) = [block for block in section.blocks if isinstance(block, Compute)]
    return curveplot.plot(block, numbers.__getitem__)


def plot_of(scale: Scale) -> curveplot.CurvePlot:
    plot = placed(scale)
    assert plot is not None
    return plot


def marks_of(scale: Scale) -> dict[str, curveplot.Mark]:
    return {mark.name: mark for mark in plot_of(scale).marks}


def changed(scale: Scale, **changes: object) -> Scale:
    return scale.model_copy(update=changes)


def test_every_condition_stands_where_the_curve_has_its_loss(scale: Scale) -> None:
    plot, marks = plot_of(scale), marks_of(scale)
    found = marks["strict induction"]
    # On a logarithmic axis a rung of known compute says where the condition's has to be.
    left, right = (plot.dots[i].x for i in (0, -1))
    equals = next(one.equals for one in scale.explained if one.condition == "strict induction")
    way = math.log((equals.value or 0) / COMPUTES[0]) / math.log(COMPUTES[-1] / COMPUTES[0])
    assert found.x == pytest.approx(left + (right - left) * way, abs=0.02)
    assert not found.beyond and not found.extrapolated
    assert found.low < found.x < found.high and found.open == (False, False)
    assert marks["intact"].role == "intact" and marks["mean"].role == "ablation"
    # On the corner-to-corner line too: a point beside its own curve would be a wrong picture.
    near = next(path for path, where in plot.lines if where == "near")
    corners = [tuple(map(float, corner.split(","))) for corner in near.split()]
    before, after = next((a, b) for a, b in pairwise(corners) if a[0] <= found.x <= b[0])
    height = before[1] + (after[1] - before[1]) * (found.x - before[0]) / (after[0] - before[0])
    assert abs(height - found.y) < 0.3


def test_the_axis_goes_from_below_the_smallest_rung_to_above_the_largest(scale: Scale) -> None:
    plot = plot_of(scale)
    assert [number for number, _ in plot.names] == ["1", "2", "3", "4", "5", "6"]
    assert len(plot.dots) == len(scale.rungs) == 12
    assert len({dot.x for dot in plot.dots}) == 6  # Seeds of a rung share their place.
    for dot in plot.dots:
        assert 0 < dot.x < 100 and 0 < dot.high < dot.y < dot.low < 100


@example([2.291057557676022e25])  # a power of ten a hair before the axis begins
@given(st.lists(st.floats(1e8, 1e26), min_size=1, max_size=8))
def test_an_axis_has_few_ticks_and_all_of_them_inside(values: list[float]) -> None:
    axis = curveplot._powers(values, ())
    ticks = curveplot.ticks_across(curveplot.FLOPS, axis)
    assert 2 <= len(ticks) <= 8
    assert all(0 <= axis.at(value) <= 100 for value in values)
    assert all(0 <= tick.at <= 100 for tick in ticks)


def test_what_lies_beyond_the_fitted_range_is_hollow_and_beyond_the_chart_an_arrow(
    scale: Scale, section: str
) -> None:
    marks = marks_of(scale)
    far = {name for name, mark in marks.items() if mark.extrapolated}
    assert far == {"intact", "bigram", "affine map, shuffled"}
    assert {n: m.beyond for n, m in marks.items() if m.beyond} == {"affine map, shuffled": "left"}
    assert marks["affine map, shuffled"].x == 0
    # Once in the chart and once in the list.
    assert section.count('class="marker hollow"') == 2 * len(far)
    assert section.count('<span class="tag">extrapolated</span>') == len(far)


def test_an_interval_without_an_upper_end_goes_on_to_the_edge(scale: Scale, section: str) -> None:
    marks = marks_of(scale)
    found = marks["strict induction, own amount"]
    assert found.high == 100 and found.open == (False, True)
    assert section.count('class="open"') == sum(sum(mark.open) for mark in marks.values())
    assert ", ∞)" in words_of(section)


def test_a_condition_without_an_interval_has_no_line(scale: Scale) -> None:
    bare = explained("bare", 3.6, {}, equals=flops(8e12, None, None))
    half = explained("half", 3.6, {}, equals=flops(8e12, None, 9e12))
    marks = marks_of(changed(scale, explained=(bare, half)))
    assert marks["bare"].low == marks["bare"].high == marks["bare"].x
    assert marks["half"].low == 0 and marks["half"].open == (True, False)


def test_the_curve_is_whole_within_its_range_and_dashed_beyond(scale: Scale) -> None:
    plot = plot_of(scale)
    assert [where for _, where in plot.lines] == ["far", "near", "far"]
    ends = [(path.split()[0], path.split()[-1]) for path, _ in plot.lines]
    assert ends[0][1] == ends[1][0] and ends[1][1] == ends[2][0]
    # It goes on to the edges of the chart and past them.
    assert float(ends[0][0].split(",")[0]) <= 0 and float(ends[2][1].split(",")[0]) >= 100
    first, last = (plot.dots[i].x for i in (0, -1))
    assert plot.fitted == (first, pytest.approx(last - first, abs=0.02))
    heights = [float(c.split(",")[1]) for path, _ in plot.lines for c in path.split()]
    assert heights == sorted(heights)  # More compute, lower loss: down the page.


def test_the_band_holds_the_curve(scale: Scale) -> None:
    plot = plot_of(scale)
    band = [tuple(map(float, corner.split(","))) for corner in plot.band.split()]
    upper, lower = band[: len(band) // 2], band[len(band) // 2 :][::-1]
    assert len(upper) == len(lower) == len(law().line)
    (near,) = [path for path, where in plot.lines if where == "near"]
    line = {x: y for x, y in (tuple(map(float, c.split(","))) for c in near.split()[1:-1])}
    held = [
        (high, line[x], low) for (x, high), (_, low) in zip(upper, lower, strict=True) if x in line
    ]
    assert held and all(high < y < low for high, y, low in held)


def test_a_curve_whose_line_ends_with_the_fit_is_carried_on_by_its_formula(scale: Scale) -> None:
    fit = law()
    inside = tuple(p for p in fit.line if fit.least <= p.compute <= fit.greatest)
    short = changed(scale, law=fit.model_copy(update={"line": inside}))
    for (path, _), (other, _) in zip(plot_of(scale).lines, plot_of(short).lines, strict=True):
        corners = [tuple(map(float, corner.split(","))) for corner in path.split()]
        for x, y in (tuple(map(float, corner.split(","))) for corner in other.split()):
            if corners[0][0] <= x <= corners[-1][0]:
                before, after = next((a, b) for a, b in pairwise(corners) if a[0] <= x <= b[0])
                way = (x - before[0]) / ((after[0] - before[0]) or 1)
                assert y == pytest.approx(before[1] + (after[1] - before[1]) * way, abs=0.5)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=60))
def test_names_in_the_margin_stay_in_order_apart_and_in_the_chart(heights: list[float]) -> None:
    found = apart(sorted(heights))
    gap = min(APART, 100 / max(len(found) - 1, 1))
    assert all(b - a >= gap - 0.03 for a, b in pairwise(found))
    assert min(found) >= -0.5 and max(found) <= 100


def test_every_mark_in_the_chart_has_its_letter_in_the_list(scale: Scale, section: str) -> None:
    letters = [mark.key for mark in plot_of(scale).marks]
    assert letters == list("abcdefghi")
    heights = [mark.y for mark in plot_of(scale).marks]
    assert heights == sorted(heights)  # The highest loss first.
    assert re.findall(r'<span class="key">(\w+)</span>', section) == letters
    assert re.findall(r'dy=".32em">(\w+)<tspan class="long"> ', section) == letters[::-1]


def test_what_is_refused_is_in_the_table_and_not_in_the_chart(scale: Scale) -> None:
    assert {"uniform", "own output"}.isdisjoint(marks_of(scale))
    assert len(marks_of(scale)) == len(everyone(scale)) - 2


def test_without_a_curve_the_rungs_are_drawn(scale: Scale) -> None:
    gone = Number(value=None, unit="FLOPs", refused="three numbers are not settled by two rungs")
    nowhere = tuple(
        one.model_copy(update={"equals": gone, "shares": {}}) for one in everyone(scale)
    )
    plot = plot_of(changed(scale, law=None, bend=None, left=(), subject=None, explained=nowhere))
    assert len(plot.dots) == 12 and not plot.lines and not plot.marks and plot.fitted is None


def test_nothing_to_draw_is_said_and_not_drawn(scale: Scale) -> None:
    nothing = changed(scale, rungs=(), law=None, bend=None, left=(), subject=None, explained=())
    assert placed(nothing) is None
    words = words_of(render(assayed(replace(web_text(), scale=nothing))))
    assert "There is no curve to draw" in words


def test_the_names_of_others_are_cut_in_the_chart_and_whole_in_the_list(
    scale: Scale, section: str
) -> None:
    marks = marks_of(scale)
    assert len(marks[HOSTILE_NAME].short) == SHORT and marks["mean"].short == "mean"
    assert " ".join(HOSTILE_NAME.split()) in words_of(section)
