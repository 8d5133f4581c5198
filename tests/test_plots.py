"""Charts placed: every place is worked out by hand."""

from __future__ import annotations

from itertools import pairwise

import pytest

from sample_blocks import SAMPLES
from sample_gap import FAIR, FLATTERED
from unexplained.record import Number
from unexplained.record.blocks import Chart, Level, Point, Ruler, Series
from unexplained.record.ids import walk
from unexplained.report import plots
from unexplained.report.drawn import drawn
from unexplained.report.pen import Pen

SHARE = Ruler(label="up", written="share", solid=(0.0, 1.0))


def chart(numbers: dict[str, Number], **how: object) -> plots.ChartPlot | None:
    """A chart of the given numbers at 1, 2, 4 and so on."""
    given: dict[str, object] = {
        "key": "c",
        "across": Ruler(label="x", spacing="doubling", written="count"),
        "up": SHARE,
        "series": (
            Series(name="s", points=tuple(Point(x=2.0**i, y=y) for i, y in enumerate(numbers))),
        ),
    }
    return plots.plot(Chart(**{**given, **how}), numbers.__getitem__)  # type: ignore[arg-type]


def share(value: float | None, low: float | None = None, high: float | None = None) -> Number:
    refused = "" if value is not None else "no"
    return Number(value=value, low=low, high=high, unit="share", refused=refused)


def test_the_curve_of_a_gap_stands_where_its_shares_put_it() -> None:
    given = drawn(SAMPLES["gap"]())
    pen = Pen(given)
    above, block = next((a, b) for a, b in walk(given.record.blocks) if isinstance(b, Chart))
    plot = pen.plot(block, above)
    assert plot is not None
    # From 0 (a line of reference) to 1.82, the own order's highest, and 5% of that above.
    high = 1.82 * 1.05
    fair, own = plot.lines
    assert [(dot.x, dot.y) for dot in fair.dots] == [
        (100 * at, pytest.approx(100 * (1 - v / high), abs=0.006))
        for at, v in zip((0.01, 0.1, 0.3, 0.5, 0.9, 1.0), FAIR, strict=True)
    ]
    assert [dot.y for dot in own.dots] == [
        pytest.approx(100 * (1 - v / high), abs=0.006) for v in FLATTERED
    ]
    assert fair.paths[0].startswith("0,100 1,") and fair.style == "hue0" and own.style == "dash0"
    # Nothing at the start, six points with an interval each way.
    assert len(fair.bands) == 1 and len(fair.bands[0].split()) == 14 and not own.bands
    assert plot.straight == (0.0, 100.0, 100.0, pytest.approx(100 * (1 - 1 / high), abs=0.006))


def test_a_refused_point_cuts_the_line_and_is_named() -> None:
    plot = chart({"a": share(0.2), "b": share(None), "c": share(0.4), "d": share(0.5)})
    assert plot is not None
    assert [len(path.split()) for path in plot.lines[0].paths] == [1, 2]
    assert plot.omitted == ("s (2)",)
    assert plots.names(plot.omitted) == "Not drawn, because refused: s (2)."


def test_a_chart_of_which_everything_was_refused_is_none() -> None:
    assert chart({"a": share(None)}) is None


def test_every_doubling_has_the_same_length() -> None:
    plot = chart({name: share(0.5) for name in "abcde"})
    assert plot is not None
    assert [dot.x for dot in plot.lines[0].dots] == [0, 25, 50, 75, 100]
    assert [tick.words for tick in plot.across] == ["1", "2", "4", "8", "16"]


def test_what_lies_beyond_an_end_sits_at_the_edge_with_its_value() -> None:
    ruler = Ruler(label="up", written="share", solid=(0.0, 1.0), least=-0.5, most=1.5)
    plot = chart({"a": share(0.5), "b": share(9.0), "c": share(-4.0)}, up=ruler)
    assert plot is not None
    assert [dot.beyond for dot in plot.lines[0].dots] == ["", "up", "down"]
    assert [dot.y for dot in plot.lines[0].dots] == [50.0, 0.0, 100.0]
    assert plot.lines[0].dots[1].value == "900%"


def test_a_level_that_is_far_off_is_named_and_one_that_is_near_is_drawn() -> None:
    numbers = {"a": Number(value=4.0), "b": Number(value=5.0), "near": Number(value=3.5),
               "far": Number(value=11.0)}  # fmt: skip
    points = (Point(x=1, y="a"), Point(x=2, y="b"))
    levels = tuple(Level(name=name, y=name) for name in ("near", "far"))
    plot = chart(
        numbers, up=Ruler(label="loss"), series=(Series(name="s", points=points),), levels=levels
    )
    assert plot is not None
    assert [held.hover for held in plot.held] == ["near: 3.500"]
    assert plot.outside == ("far 11.00",)
    # Lines have their legend, or are the only one.
    assert [one.first for one in plot.margin] == ["near"]


def test_a_line_of_reference_replaces_a_tick_that_is_too_near() -> None:
    plot = chart({"a": share(0.1), "b": share(0.9)})
    assert plot is not None
    assert [tick.words for tick in plot.up if tick.solid] == ["0%", "100%"]


def test_shares_on_a_logarithmic_axis_have_their_counts_below() -> None:
    ruler = Ruler(label="edges", spacing="tenfold", written="share", whole=5000)
    points = (Point(x=0.002, y="a"), Point(x=1.0, y="b"))
    numbers = {"a": share(0.1), "b": share(1.0)}
    plot = chart(numbers, across=ruler, series=(Series(name="s", points=points),))
    assert plot is not None
    assert [(t.words, t.below) for t in plot.across] == [
        ("0.1%", "5"), ("1%", "50"), ("10%", "500"), ("100%", "5,000"),
    ]  # fmt: skip


def test_twelve_lines_that_end_close_by_have_names_apart_and_each_its_own_look() -> None:
    numbers = {f"{i}/{x}": share(-0.2 - i / 100 * x) for i in range(12) for x in (1, 2)}
    lines = tuple(
        Series(name=f"c{i}", hue=i, points=tuple(Point(x=x, y=f"{i}/{x}") for x in (1, 2)))
        for i in range(12)
    )
    plot = chart(numbers, series=lines)
    assert plot is not None
    labels = [one.label for one in plot.margin]
    # The higher a line ends, the higher stands its name.
    assert [one.first for one in plot.margin] == [f"c{i}" for i in range(12)]
    assert min(labels) >= 0 and max(labels) <= 100
    assert all(b - a >= plots.APART - 0.02 for a, b in pairwise(labels))
    assert len({(line.style, line.shape) for line in plot.lines}) == 12
