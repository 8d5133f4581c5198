"""The page and tables of a rewriting and of sizes. Every number here is invented."""

from __future__ import annotations

import doctest
import importlib
import math
import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sample_rewrite import EXPLAINED, RUNGS, near, sample_rewrite, sample_sizes, size
from sample_rows import HOSTILE_NAME, refused, share
from test_report import PAYLOAD, Elements, assert_harmless, rows_of, swap_texts, words_of
from test_scales import NOT_A_VERDICT, VERDICTS
from unexplained.record import Number, RewriteRecord, SizesRecord, load_record
from unexplained.record import format as fmt
from unexplained.report import placing, render, replacing, rewrites, sizes, text_table


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables are as wide as the terminal; what they say here must not depend on whose it is."""
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture(scope="module")
def record() -> RewriteRecord:
    return sample_rewrite()


@pytest.fixture(scope="module")
def html(record: RewriteRecord) -> str:
    return render(record)


@pytest.fixture(scope="module")
def sized() -> SizesRecord:
    return sample_sizes()


def plot_of(record: RewriteRecord) -> replacing.Plot:
    plot = replacing.plot(record)
    assert plot is not None
    return plot


def listed(html: str) -> set[str]:
    section = html[html.index('id="glossary"') : html.index('id="reproduce"')]
    return set(re.findall(r"<dt>([^<]*)</dt>", section))


def assert_links(html: str) -> None:
    """Every link leads somewhere, no id is used twice, every reason is pointed at."""
    tags = Elements(html).tags
    ids = [a["id"] for _, a in tags if "id" in a]
    assert len(ids) == len(set(ids))
    links = {(a["href"] or "").removeprefix("#") for t, a in tags if t == "a" and "href" in a}
    assert links <= set(ids)
    assert {name for name in ids if name and "-note-" in name} <= links


def assert_notes(table: str) -> None:
    """In the terminal every `refused` has a reason below, and every reason a `refused`."""
    told = set(re.findall(r"^\[(\d+)\]", table, re.MULTILINE))
    assert told == set(re.findall(r"(?<!^)\[(\d+)\]", table, re.MULTILINE)) and told


def test_the_page_has_every_number_and_runs_nothing(record: RewriteRecord, html: str) -> None:
    assert_harmless(html)
    assert_links(html)
    words = words_of(html)
    numbers = [record.intact, *record.tables.values(), *record.rungs.values()]
    for step in record.steps:
        numbers += [step.explained, step.ablated, step.recovered]
    for row in record.programs:
        numbers += [row.bars.loss, row.shuffled.loss]
        numbers += [one.recovered for one in row.bars.baselines]
    for number in numbers:
        assert str(fmt.show(number)) in words
    for choice in record.choices:
        assert f"{choice.site} {' '.join(choice.explanation.split())}" in words
        for cost in (choice.increase, choice.mean, choice.mean - choice.increase):
            assert fmt.signed(cost) in words
    assert "Twelve documents too short" in words and "31,200 bits" in words
    assert "about 52,000 tokens would settle it" in words


def test_every_step_stands_in_its_row_with_its_order(record: RewriteRecord, html: str) -> None:
    region = html[html.index('aria-label="Loss by components replaced"') :]
    rows = re.findall(r"<tr>(<th.*?)</tr>", region[: region.index("</table>")], re.DOTALL)[1:]
    assert len(rows) == len(record.steps)
    for row, step in zip(rows, sorted(record.steps, key=lambda s: (s.count, s.draw)), strict=True):
        words = words_of(row)
        assert words.startswith(f"{step.count} of 10 {step.draw + 1} {fmt.show(step.explained)}")
        assert step.place is not None and words.endswith(step.place.place)


def test_no_field_of_a_rewriting_can_put_anything_into_the_page(record: RewriteRecord) -> None:
    steps = tuple(
        step.model_copy(update={"place": step.place.model_copy(update={"comparisons": ()})})
        for step in record.steps
        if step.place
    )
    names = {PAYLOAD: near(3.7)}
    dumped = swap_texts(
        record.model_copy(
            update={"steps": steps, "programs": (), "tables": names | record.tables,
                    "rungs": names | record.rungs}
        ).model_dump(),
        PAYLOAD,
    )  # fmt: skip
    assert isinstance(dumped, dict)
    hostile = RewriteRecord.model_validate(dumped | {"kind": "rewrite"})
    programs = tuple(
        row.model_copy(update={"says": PAYLOAD, "name": PAYLOAD}) for row in record.programs
    )
    for one in (hostile, record.model_copy(update={"programs": programs})):
        assert "alert(1)" in render(one)
        assert_harmless(render(one))
        assert "\x1b" not in text_table(one) and "\u202e" not in text_table(one)


# The chart


def test_every_doubling_has_the_same_length_and_losses_are_where_the_axis_has_them(
    record: RewriteRecord,
) -> None:
    plot = plot_of(record)
    for order in plot.orders:
        places = [dot.x for dot in order.dots]
        # log2 of 1, 2, 4, 8, 10 as shares of log2 10 = 3.3219.
        assert places == pytest.approx([0, 30.1, 60.21, 90.31, 100], abs=0.01)
        for dot, loss in zip(order.dots, EXPLAINED[order.draw], strict=True):
            share_of_axis = (loss - plot.y.low) / (plot.y.high - plot.y.low)
            assert dot.y == pytest.approx(100 - 100 * share_of_axis, abs=0.01)
            assert dot.high < dot.y < dot.low and not dot.beyond
        corners = [tuple(map(float, c.split(","))) for c in order.explained[0].split()]
        assert corners == [(dot.x, dot.y) for dot in order.dots]
        below = [tuple(map(float, c.split(","))) for c in order.ablated[0].split()]
        assert below[:-1] == [(dot.x, dot.y) for dot in order.crosses[:-1]]
        assert below[-1][1] < 0  # It leaves the chart as steeply as it was measured.
    assert plot.x.ticks == (1, 2, 4, 10)


def test_a_loss_far_above_is_an_arrow_and_does_not_stretch_the_chart(
    record: RewriteRecord, html: str
) -> None:
    plot = plot_of(record)
    assert plot.y.high < 10
    for order in plot.orders:
        assert [dot.beyond for dot in order.crosses] == ["", "", "", "", "up"]
        assert order.crosses[-1].y == 0
    assert html.count('class="arrow"') == 2
    assert [name for name, _ in plot.outside] == ["uniform"]
    assert "Too far off to be drawn: uniform 10.80." in words_of(html)


def test_every_order_has_a_line_and_a_dashed_one_in_its_colour(
    record: RewriteRecord, html: str
) -> None:
    for order in plot_of(record).orders:
        assert html.count(f'<polyline class="path hue{order.hue}"') == 1
        assert html.count(f'<polyline class="path mean hue{order.hue}"') == 1
        assert f"random order {order.draw + 1}, explained" in words_of(html)
    assert len({order.hue for order in plot_of(record).orders}) == len(EXPLAINED)


def test_what_it_is_held_against_is_named_at_the_right_from_the_highest_loss_down(
    record: RewriteRecord, html: str
) -> None:
    levels = plot_of(record).levels
    names = [level.name for level in levels]
    assert names == ["unigram", "bigram", "rung-1", "rung-2", "rung-3", "intact", "rung-6"]
    for one, other in pairwise(levels):
        assert one.y < other.y and other.label - one.label >= placing.APART - 0.01
    chart = html[html.index('class="curve rewriting"') : html.index("<figcaption>")]
    assert [words_of(w) for w in re.findall(r'<text class="name".*?</text>', chart)] == names


@given(st.integers(1, 5000))
def test_an_axis_of_counts_begins_at_one_and_ends_with_all(most: int) -> None:
    axis = placing.Doublings(most)
    places = [axis.at(tick) for tick in axis.ticks]
    assert axis.ticks[-1] == most and places == sorted(places)
    assert most == 1 or (places[0], places[-1]) == (0, 100)
    assert len(places) <= 13 and all(b - a > 3 for a, b in pairwise(places))


def test_a_refused_loss_cuts_its_line_in_two(record: RewriteRecord) -> None:
    steps = tuple(
        s.model_copy(update={"explained": refused()}) if (s.draw, s.count) == (0, 4) else s
        for s in record.steps
    )
    first, second = plot_of(record.model_copy(update={"steps": steps})).orders
    assert [len(path.split()) for path in first.explained] == [2, 2]
    assert len(second.explained) == 1 and len(first.dots) == 4


def test_nothing_to_draw_is_said_and_not_drawn(record: RewriteRecord, sized: SizesRecord) -> None:
    steps = tuple(s.model_copy(update={"explained": refused()}) for s in record.steps)
    assert "There is no chart to draw" in words_of(
        render(record.model_copy(update={"steps": steps}))
    )
    points = tuple(p.model_copy(update={"recovered": refused()}) for p in sized.points)
    gone = sized.model_copy(update={"points": points, "slope": refused("no fractions", None)})
    words = words_of(render(gone))
    assert "There is no chart to draw" in words and "There is no slope: no fractions." in words
    assert "<figure" not in render(gone)


# Break-even, programs, compute


def test_break_even_names_the_step_at_which_it_was_too_many(
    record: RewriteRecord, html: str
) -> None:
    rows = rows_of(html, "Break-even with weaker models")
    assert list(rows) == list(RUNGS)
    assert rows["rung-1"].endswith("8, not 10 ; 8, not 10 8, not 10 ; 8, not 10 ties with rung-1")
    assert "4, not 8 ; 4, not 8 4, not 8 ; 2, not 4" in rows["rung-2"]
    assert "below the intact model's" in rows["rung-6"]
    assert (
        rewrites.up_to(record, 0, 10) == "all 10" and rewrites.up_to(record, 0, 0) == "none, not 1"
    )


def test_the_explained_model_is_named_by_its_size_and_not_by_all_of_its_parts(
    record: RewriteRecord, html: str
) -> None:
    assert "explained: L0.H0" not in html
    rows = rows_of(html, "Training compute explained on webmix")
    assert any(head.startswith("all 10 components explained") for head in rows)
    printed = text_table(record)
    assert "explained: L0.H0" not in printed and re.search(r"^ *all 10\b", printed, re.MULTILINE)
    assert rewrites.measured(record).rows[0].kind == "explanation"


def test_a_program_stands_with_its_control_its_place_and_its_length(html: str) -> None:
    rows = rows_of(html, "Written programs")
    found = rows["bigram and copy What bigram and copy says."]
    assert found.startswith("3.900 [3.850, 3.950] 9.60 [9.55, 9.65] 87.5%")
    assert found.endswith("between rung-2 and rung-3 2,448 bits of code, 7.9 million of parameters")
    assert rows[f"{' '.join(HOSTILE_NAME.split())} What {HOSTILE_NAME} says."].endswith(
        "2,448 bits of code"
    )
    bars = rows_of(html, "Recovered against each baseline on webmix, all")
    assert {"bigram and copy", "bigram and copy, shuffled"} <= set(bars)


def test_a_refused_control_of_a_program_leads_to_its_reason(record: RewriteRecord) -> None:
    row = record.programs[0]
    bars = row.shuffled.model_copy(update={"loss": refused("it is not finite", None)})
    changed = record.model_copy(
        update={"programs": (row.model_copy(update={"shuffled": bars}),), "scale": None}
    )
    assert_links(render(changed))
    assert "it is not finite" in words_of(render(changed)) and "it is not finite" in str(changed)


def test_a_rewriting_without_weaker_models_programs_or_a_scale_is_drawn_too(
    record: RewriteRecord,
) -> None:
    bare = record.model_copy(
        update={"rungs": {}, "break_even": (), "itself": {}, "programs": (), "scale": None,
                "steps": tuple(s.model_copy(update={"place": None}) for s in record.steps)}
    )  # fmt: skip
    html = render(bare)
    assert_harmless(html)
    assert_links(html)
    words = words_of(html)
    for absent in ("Break-even", "Written programs", "Against baselines", "Place"):
        assert absent not in words
    assert "Explanations in place" in words and "break-even" not in text_table(bare)


def test_many_components_are_folded_and_cut_off_in_the_terminal(record: RewriteRecord) -> None:
    assert "<details><summary>All" not in render(record)
    many = record.model_copy(update={"choices": record.choices * 3})
    assert "<details><summary>All 30 components</summary>" in render(many)
    assert "and 6 more" in text_table(many)


def test_no_word_of_the_pages_is_a_verdict(html: str, sized: SizesRecord) -> None:
    for page in (html, render(sized)):
        assert not VERDICTS.findall(NOT_A_VERDICT.sub("", words_of(page)))


def test_the_terms_of_the_pages_are_in_their_glossaries(html: str, sized: SizesRecord) -> None:
    assert {"break-even", "random order", "written program", "component", "mean ablation",
            "weaker model", "rung", "bits", "fit part", "FLOPs", "bigram"} <= listed(html)  # fmt: skip
    assert {"slope", "budget of explanation", "training compute", "damage"} <= listed(render(sized))
    assert "slope" not in listed(html)


def test_a_record_is_read_back_and_gives_the_same_page(
    record: RewriteRecord, sized: SizesRecord, html: str, tmp_path: Path
) -> None:
    assert render(load_record(record.save(tmp_path / "rewrite.json"))) == html
    assert render(load_record(sized.save(tmp_path / "sizes.json"))) == render(sized)


# The terminal


@pytest.mark.parametrize("columns", [72, 96, 120])
def test_the_terminal_has_it_in_short_and_cuts_no_number(
    record: RewriteRecord, sized: SizesRecord, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    table = text_table(record)
    assert max(map(len, table.splitlines())) <= columns and "…" not in table
    assert_notes(table)
    for step in record.steps:
        for number in (step.explained, step.ablated, step.recovered):
            assert fmt.show(number).value.replace(fmt.MINUS, "-") in table
    assert (
        "order 2" in table and "8, not 10" in table and "[red]piped" in "".join(table.split("\n"))
    )
    other = text_table(sized)
    assert max(map(len, other.splitlines())) <= columns and "…" not in other
    for point in sized.points:
        assert fmt.show(point.recovered).value in other and fmt.power(point.compute) in other
    assert "-5.4 [-7.1, -3.6] percentage points" in " ".join(other.split())


# Sizes


def test_the_page_of_sizes_has_every_number_and_runs_nothing(sized: SizesRecord) -> None:
    html = render(sized)
    assert_harmless(html)
    assert_links(html)
    rows = rows_of(html, "Recovered by size")
    assert len(rows) == len(sized.points)
    for point in sized.points:
        cells = rows[" ".join(point.rung.split())]
        assert cells.startswith(f"{fmt.power(point.compute)} {point.components}")
        assert str(fmt.show(point.damage)) in cells and str(fmt.show(point.recovered)) in cells
    assert "−5.4 [−7.1, −3.6]" in words_of(html)
    dumped = swap_texts(sized.model_dump(), PAYLOAD)
    assert isinstance(dumped, dict)
    hostile = SizesRecord.model_validate(dumped | {"kind": "sizes"})
    assert_harmless(render(hostile))
    assert "\x1b" not in text_table(hostile)


def test_the_line_has_the_slope_that_is_given_and_goes_through_the_middle(
    sized: SizesRecord,
) -> None:
    plot = sizes.plot(sized)
    assert plot is not None and plot.line is not None
    left, upper, right, lower = plot.line
    assert (left, right) == (plot.dots[0][1].x, plot.dots[-1][1].x)
    # Six decades from the first to the last, at -0.054 each; the mean of the fractions is 0.35.
    height = (lower - upper) / 100 * (plot.y.high - plot.y.low)
    assert height == pytest.approx(6 * 0.054, abs=0.001)
    assert (upper + lower) / 2 == pytest.approx(plot.from_top(0.35), abs=0.01)
    gaps = [b[1].x - a[1].x for a, b in pairwise(plot.dots)]
    assert gaps == pytest.approx([gaps[0]] * 3, abs=0.02)


def test_a_refused_size_is_named_and_takes_the_line_with_it(sized: SizesRecord) -> None:
    points = (*sized.points[:2], size(3, refused()), size(4, share(-3.2, -5.1, -1.9)))
    changed = sized.model_copy(update={"points": points})
    plot = sizes.plot(changed)
    assert plot is not None and plot.line is None and len(plot.omitted) == 1
    assert [dot.beyond for _, dot in plot.dots] == ["", "", "down"]
    assert plot.y.low >= -0.8
    html = render(changed)
    assert_links(html)
    assert "Not drawn, because refused: rung-3." in words_of(html)
    assert 'class="slope"' not in html and "−320%" in html and 'class="slope"' in render(sized)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.01, 0.2, "more is recovered in larger models"),
        (-0.3, -0.01, "less is recovered in larger models"),
        (-0.1, 0.2, "do not tell which way"),
        (None, None, "it may be chance"),
    ],
)
def test_the_slope_says_which_way_only_where_its_interval_does(
    low: float | None, high: float | None, said: str
) -> None:
    number = Number(value=0.05, low=low, high=high)
    words = sizes.slope(number, 0.02)
    assert said in words
    others = ("more is", "less is", "do not tell", "chance", "another seed")
    assert sum(other in words for other in others) == 1
    # With one run of each size it says nothing, whatever the interval.
    alone = sizes.slope(number, None)
    assert sum(other in alone for other in others) == 1
    assert "another seed may turn it round" in alone or low is None


def test_a_slope_is_claimed_where_seeds_are_counted_and_its_interval_tells(
    sized: SizesRecord,
) -> None:
    assert not sized.claimed and sized.model_copy(update={"scatter": 0.02}).claimed
    open_ = Number(value=-0.05, low=-0.2, high=0.1)
    assert not sized.model_copy(update={"scatter": 0.02, "slope": open_}).claimed


def test_runs_of_one_size_stand_under_one_name_and_the_line_weighs_runs(sized: SizesRecord) -> None:
    more = sized.points[0].model_copy(
        update={"rung": "rung-1-seed-1", "recovered": share(0.6, 0.5, 0.7)}
    )
    points = (sized.points[0], more, *sized.points[1:])
    seeded = sized.model_copy(update={"points": points, "scatter": 0.0793})
    plot = sizes.plot(seeded)
    assert [name for name, _ in plot.dots][:2] == ["rung-1", ""]
    # Two runs at the first size: the mean is (2 · 0.56 + 0.38 + 0.32 + 0.18)/5, at −0.6 sizes.
    first = plot.line[1]
    height = 0.4 - 0.054 * (math.log10(points[0].compute) - sum(
        math.log10(p.compute) for p in points) / 5)  # fmt: skip
    assert first == pytest.approx(plot.from_top(height), abs=0.01)
    bent = sizes.plot(seeded.model_copy(update={"bent": True}))
    assert bent.line[1] == pytest.approx(plot.from_top(0.36 + 3 * 0.054), abs=0.01)
    words = words_of(render(seeded))
    assert "scatter by 7.9 percentage points" in words
    assert "how another run would have come out is not known" in words_of(render(sized))


@pytest.mark.parametrize("name", ["placing", "printed", "replacing", "rewrites", "sizes", "charts"])
def test_the_examples_in_the_docstrings_hold(name: str) -> None:
    module = importlib.import_module(f"unexplained.report.{name}")
    assert doctest.testmod(module).failed == 0
