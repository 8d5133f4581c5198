"""What records of sizes and of families show: the chart and its line, and what is said of a slope."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from drawing import keys_of, one_block, plot_of
from sample_family import by_byte, sample_family
from sample_rows import refused, share
from sample_sizes import NUMBER, SIZES, sample_sizes, size, slope
from test_report import words_of
from test_report_rewrite import listed
from test_scales import NOT_A_VERDICT, VERDICTS
from unexplained.instruments import sizes
from unexplained.record import Number, Record
from unexplained.record.blocks import Table
from unexplained.report import render, text_table


@pytest.mark.parametrize("make", [sample_sizes, sample_family])
def test_no_word_of_the_pages_is_a_verdict(make: Callable[[], Record]) -> None:
    assert not VERDICTS.findall(NOT_A_VERDICT.sub("", words_of(render(make()))))


def test_the_terms_of_the_pages_are_in_their_glossaries() -> None:
    one, two = listed(render(sample_sizes())), listed(render(sample_family()))
    assert {"slope", "budget of explanation", "training compute", "damage"} <= one
    assert {"bits per byte", "as good as", "irreducible loss E"} <= two and "slope" not in two


# Sizes


def test_the_line_has_the_slope_that_is_given_and_goes_through_the_middle() -> None:
    line = sizes._least_squares(SIZES, slope())
    assert line is not None
    left, first, right, last = line
    assert (left, right) == pytest.approx((SIZES[0].compute, SIZES[-1].compute))
    # Six decades from the first to the last, at -0.054 each; the mean of the fractions is 0.35.
    assert first - last == pytest.approx(6 * 0.054) and (first + last) / 2 == pytest.approx(0.35)
    plot = plot_of(sample_sizes())
    assert plot is not None and plot.straight is not None
    assert plot.straight[0] == plot.lines[0].dots[0].x and not plot.lines[0].paths


def test_a_refused_size_is_named_and_takes_the_line_with_it() -> None:
    changed = sample_sizes((*SIZES[:2], size(3, refused()), size(4, share(-3.2, -5.1, -1.9))))
    plot = plot_of(changed)
    assert plot is not None and plot.straight is None
    assert plot.omitted == ("recovered (rung-3)",)
    assert [dot.beyond for dot in plot.lines[0].dots] == ["", "", "down"]
    words = words_of(render(changed))
    assert "Not drawn, because refused: recovered (rung-3)." in words and "(−320%)" in words
    line = "Line: least squares"
    assert line not in words and line in words_of(render(sample_sizes()))


def test_nothing_to_draw_is_said() -> None:
    none = tuple(one._replace(recovered=refused()) for one in SIZES)
    gone = sample_sizes(none, slope(refused("no fractions", None)))
    words = words_of(render(gone))
    assert "There is no chart to draw" in words and "There is no slope." in words
    assert "no fractions." in words and "<figure" not in render(gone)


@pytest.mark.parametrize(
    ("low", "high", "said", "way"),
    [
        (0.01, 0.2, "more is recovered in larger models", "easier with size,"),
        (-0.3, -0.01, "less is recovered in larger models", "harder with size,"),
        (-0.1, 0.2, "do not tell which way", "is not told"),
        (None, None, "may be chance", "is not told"),
    ],
)
def test_the_slope_says_which_way_only_where_its_interval_does(
    low: float | None, high: float | None, said: str, way: str
) -> None:
    number = Number(value=0.05, low=low, high=high)
    words = sizes._which_way(slope(number, 0.02))
    assert said in words
    others = ("more is", "less is", "do not tell", "chance", "another seed")
    assert sum(other in words for other in others) == 1
    assert way in sizes._verdict(slope(number, 0.02), SIZES)
    # With one run of each size it says nothing, whatever the interval.
    alone = sizes._which_way(slope(number))
    assert sum(other in alone for other in others) == 1
    assert "another seed may turn the slope round" in alone or low is None
    assert "it does not say whether" in sizes._verdict(slope(number), SIZES)


def test_the_slope_is_written_in_percentage_points() -> None:
    assert "−5.4 [−7.1, −3.6]" in words_of(render(sample_sizes()))
    printed = " ".join(text_table(sample_sizes()).split())
    assert "For ten times the compute, percentage points: −5.4 [−7.1, −3.6]" in printed
    assert "share per tenfold" not in printed


def test_runs_of_one_size_stand_under_one_name_and_the_line_weighs_runs() -> None:
    more = SIZES[0]._replace(name="rung-1-seed-1", recovered=share(0.6, 0.5, 0.7))
    found = (SIZES[0], more, *SIZES[1:])
    seeded = sample_sizes(found, slope(scatter=0.0793))
    plot = plot_of(seeded)
    assert plot is not None
    assert [dot.label for dot in plot.lines[0].dots][:2] == ["rung-1", ""]
    # Two runs at the first size: the mean is (2 · 0.56 + 0.38 + 0.32 + 0.18)/5, at −0.6 sizes.
    logs = [math.log10(one.compute) for one in found]
    height = 0.4 - 0.054 * (logs[0] - sum(logs) / 5)
    line = sizes._least_squares(found, slope(scatter=0.0793))
    assert line is not None and line[1] == pytest.approx(height)
    bent = sizes._least_squares(found, slope(scatter=0.0793, bent=True))
    assert bent is not None and bent[1] == pytest.approx(0.36 + 3 * 0.054)
    words = words_of(render(seeded))
    assert "scatter by 7.9 percentage points" in words
    alone = words_of(render(sample_sizes()))
    assert "how another run would have come out is not known" in alone
    further = "The sizes lie further off a straight line than seeds explain"
    assert further in sizes._rests(slope(NUMBER, 0.0793, bent=True)) and further not in words


# A family


def test_a_family_has_no_column_of_a_share_that_it_does_not_have() -> None:
    _, conditions = one_block(sample_family(), "conditions")
    assert isinstance(conditions, Table)
    assert [column.key for column in conditions.columns] == ["loss", "equals"]
    alone = sample_family(by_byte().model_copy(update={"explained": ()}))
    assert [key for key in keys_of(alone) if key in ("models", "compute", "conditions")] == [
        "models",
        "compute",
    ]
