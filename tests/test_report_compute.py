"""Bars against weaker models and the scale of compute, drawn. Every number here is invented."""

from __future__ import annotations

import doctest
import importlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sample_compute import FAR, NO_RUN, bars, flops
from sample_record import sample_record
from sample_rows import nats, share
from test_report import PAYLOAD, assert_harmless, words_of
from unexplained.record import AssayRecord, Explained, Number, Scale, TextResult
from unexplained.record.compute import Left
from unexplained.report import (
    compute,
    glossary,
    markdown_bars,
    markdown_compute,
    page,
    render,
    text_table,
    weaker,
)
from unexplained.report import format as fmt
from unexplained.report.terms import COMPUTE

VERDICTS = re.compile(r"\b(pass(es|ed)?|fail(s|ed|ure)?|good enough|succe\w+)\b", re.IGNORECASE)
NOT_A_VERDICT = re.compile(r"(no bar is|none is) a pass mark", re.IGNORECASE)


@pytest.fixture(scope="module")
def record() -> AssayRecord:
    return sample_record()


@pytest.fixture(scope="module")
def text(record: AssayRecord) -> TextResult:
    return record.texts[0]


@pytest.fixture(scope="module")
def section(record: AssayRecord) -> str:
    return section_of(render(record))


def section_of(html: str) -> str:
    return html[html.index('id="text-1-compute"') : html.index("<h3>By stratum")]


def scale_of(text: TextResult) -> Scale:
    assert text.scale is not None
    return text.scale


def plot_of(text: TextResult) -> compute.Plot:
    plot = compute.plot(text)
    assert plot is not None
    return plot


def with_scale(record: AssayRecord, **changes: object) -> AssayRecord:
    first = record.texts[0]
    scale = scale_of(first).model_copy(update=changes)
    texts = (first.model_copy(update={"scale": scale}), *record.texts[1:])
    return record.model_copy(update={"texts": texts})


def rows_of(html: str, label: str) -> dict[str, str]:
    """The rows of the table in the region of that label, by what heads them, as words."""
    region = html[html.index(f'aria-label="{label}') :]
    body = region[region.index("<tbody>") : region.index("</tbody>")]
    rows = re.findall(r"<tr[^>]*><th scope=\"row\">(.*?)</th>(.*?)</tr>", body, re.DOTALL)
    return {words_of(head): words_of(cells) for head, cells in rows}


# How compute and its shares are written


@pytest.mark.parametrize(
    ("number", "written"),
    [
        (share(3e-4, 1e-4, 9e-4), "0.030% [0.010%, 0.090%]"),
        (share(3e-4, 1e-5, 0.02), "0.030% [0.0010%, 2.0%]"),
        (share(0.447, 0.312, 0.561), "45% [31%, 56%]"),
        (share(1.0, 1.0, 1.0), "100% [100%, 100%]"),
        (Number(value=0.99996, low=0.99, high=1.0), "99.996% [99.0%, 100%]"),
        (Number(value=4e-9, unit="share"), "4.0 × 10⁻⁷%"),
        (Number(value=3e-4, low=1e-4, unit="share"), "0.030% [0.010%, ∞)"),
        (Number(value=None, refused="no run"), "refused"),
        (None, "–"),
    ],
)
def test_a_share_of_any_order_of_magnitude_keeps_two_digits(
    number: Number | None, written: str
) -> None:
    assert str(fmt.portion(number)) == written


@given(st.floats(1e-12, 10.0), st.floats(1.001, 1e4))
def test_no_share_of_compute_reads_as_nothing_or_as_all(value: float, times: float) -> None:
    shown = fmt.portion(share(value, value / times, value * times))
    for words in (shown.value, *shown.interval.split(", ")):
        assert re.search(r"[1-9]", words.split("×")[0]), shown
    assert shown.value != "100%" or value == 1


# The tables


def test_every_number_of_the_scale_stands_in_its_row(text: TextResult, section: str) -> None:
    scale = scale_of(text)
    rows = rows_of(section, "Training compute explained")
    assert len(rows) == len(scale.explained) + 1
    for one in compute.everyone(scale):
        row = next(
            cells for head, cells in rows.items()
            if head in (one.condition, f"{one.condition} {weaker.note(one, scale)}")
        )  # fmt: skip
        shown = [fmt.show(one.loss), fmt.compute(one.equals)]
        shown += [fmt.portion(number) for number in one.shares.values()]
        for item in shown:
            assert str(item) in row, (one.condition, item)
        assert row.count(fmt.MISSING) == len(weaker.kinds(scale)) - len(one.shares)
    assert "0.030% [0.010%, 0.090%]" in rows["strict induction"]


def test_each_kind_of_share_has_its_own_column_and_its_meaning(section: str) -> None:
    words = words_of(section)
    places = []
    for _, heading, meaning in weaker.SHARES:
        assert f"{heading} {meaning}" in words
        places.append(words.index(heading))
    assert places == sorted(places) and len({m for _, _, m in weaker.SHARES}) == 6


def test_a_left_out_rung_is_covered_only_where_the_interval_holds_its_compute() -> None:
    zero = Number(value=0.0)

    def left(low: float | None, high: float | None, value: float | None = 2e12) -> Left:
        why = "" if value else "beyond the ladder"
        equals = Number(value=value, low=low, high=high, unit="FLOPs", refused=why)
        return Left(rung="3", loss=zero, predicted=zero, compute=2e12, equals=equals, outside=False)

    assert weaker.covered(left(1e12, 3e12)) is True
    assert weaker.covered(left(2.5e12, 3e12)) is False
    assert weaker.covered(left(1e12, 1.5e12)) is False
    assert weaker.covered(left(1e12, None)) is True
    assert weaker.covered(left(2.5e12, None)) is False
    assert weaker.covered(left(None, 1.5e12)) is False
    assert weaker.covered(left(None, None)) is None
    assert weaker.covered(left(None, None, None)) is None


def test_the_left_out_rungs_say_what_the_others_predicted(text: TextResult, section: str) -> None:
    rows = rows_of(section, "One rung left out")
    end = " end of the ladder: extrapolated"
    assert [head.removesuffix(end) for head in rows] == [f"rung-{i}" for i in range(1, 7)]
    assert [head for head in rows if head.endswith(end)] == ["rung-1" + end, "rung-6" + end]
    assert [cells.split()[-1] for cells in rows.values()] == [
        "yes",
        "yes",
        "no",
        "yes",
        "yes",
        "no",
    ]
    for left, cells in zip(scale_of(text).left, rows.values(), strict=True):
        for number in (left.loss, left.predicted):
            assert str(fmt.show(number)) in cells
        assert fmt.power(left.compute) in cells and str(fmt.compute(left.equals)) in cells
    assert "own compute in 4 of 6 cases; 2 of the 6 are ends" in words_of(section)


def test_a_weaker_model_stands_among_the_conditions_with_its_own_r(
    text: TextResult, section: str
) -> None:
    rows = rows_of(section, "Recovered against each baseline on webmix, all")
    heads = [head.removesuffix(" weaker model: r") for head in rows]
    assert heads.index("rung-3") < heads.index("strict induction") < heads.index("rung-4")
    group = weaker.groups(text)[0]
    losses = [line.loss.value or 0 for line in group.lines]
    assert losses == sorted(losses, reverse=True)
    for bar in text.bars[0].rungs:
        row = rows[f"{bar.rung} weaker model: r"]
        for number in (bar.loss, *bar.share.values()):
            assert str(fmt.show(number)) in row
    assert "between rung-3 and rung-4" in rows["strict induction"]
    for base in text.bars[0].baselines:
        assert str(fmt.show(base.recovered)) in rows["strict induction"]


def test_every_gap_score_stands_under_its_rung_with_the_comparison_in_words(
    text: TextResult, section: str
) -> None:
    rows = rows_of(section, "Gap scores on webmix, all")
    found = rows["strict induction"]
    scores = [str(fmt.show(bar.score)) for bar in text.bars[0].rungs]
    places = [found.index(written) for written in scores]
    assert places == sorted(places) and len(scores) == 6
    standings = re.findall("lower loss|higher loss|not told apart", found)
    assert standings == ["lower loss"] * 3 + ["higher loss"] * 3
    assert rows["strict induction, own amount"].count("not told apart") == 0
    tied = bars("x", 3.05, {"mean": 4.41}, 2.9142, "ties with rung-6")
    assert tied.place is not None and tied.place.rungs("ties") == ("rung-6",)


def test_bars_on_some_of_the_tokens_are_kept_apart_from_those_on_all(
    text: TextResult, section: str
) -> None:
    groups = weaker.groups(text)
    assert [group.whole for group in groups] == [True, False]
    assert [len(group.bars) for group in groups] == [4, 1]
    assert groups[1].levels == ("95%", "99.17%")
    assert "recurrence: recurs, continuation repeats , 11,390 tokens" in words_of(section)
    assert weaker.groups(text.model_copy(update={"bars": text.bars[::-1]}))[0].whole


def test_the_distance_to_every_bar_is_given_for_every_baseline(section: str) -> None:
    region = section[section.index('aria-label="Distance to each bar by baseline') :]
    words = words_of(region[: region.index("</table>")])
    assert "Against 50% 80% 90% 98% 99% Nines" in words
    assert "strict induction uniform +41.2 [+39.2, +43.2] +11.2" in words


def test_no_word_of_the_section_is_a_verdict(record: AssayRecord, section: str) -> None:
    def verdicts(words: str) -> list[str]:
        return [m[0] for m in VERDICTS.finditer(NOT_A_VERDICT.sub("", words))]

    assert verdicts("it passed") and verdicts("a failure") and not verdicts("no bar is a pass mark")
    assert not verdicts(words_of(section))
    assert not verdicts(markdown_bars(record.texts[0]) + markdown_compute(record.texts[0]))


def test_a_text_without_a_ladder_says_so_and_shows_its_baselines(record: AssayRecord) -> None:
    html = render(record)
    other = html[html.index('id="text-2-compute"') : html.index('id="controls"')]
    words = words_of("<p " + other)
    assert "No ladder of weaker models was given" in words
    assert "Gap score against" not in words and "Place among" not in words
    rows = rows_of(other, "Recovered against each baseline on repeats")
    assert "refused" in rows["strict induction"]
    assert "about 88,000 tokens would settle it" in words
    bare = record.texts[1].model_copy(update={"bars": ()})
    without = render(record.model_copy(update={"texts": (bare,)}))
    assert "-compute" not in without and "-bars" not in without


def test_every_refused_number_of_the_section_points_to_its_reason(
    record: AssayRecord, section: str
) -> None:
    notes = set(re.findall(r'href="#(text-1-note-\d+)"', section))
    html = render(record)
    assert len(notes) >= 3
    reasons = {}
    for note in notes:
        (reasons[note],) = re.findall(rf'<li id="{note}" value="\d+">(.*?)</li>', html, re.DOTALL)
    assert any(NO_RUN in reason for reason in reasons.values())


# Words


def test_every_term_of_the_section_is_in_the_glossary(record: AssayRecord) -> None:
    html = render(record)
    listed = re.findall(r"<dt>([^<]*)</dt>", html[html.index('<dl class="glossary">') :])
    assert {term.name for term in COMPUTE} <= set(listed)
    source = "".join(
        (page.TEMPLATES / name).read_text(encoding="utf-8")
        for name in ("compute.html.j2", "axis.html.j2", "law.html.j2", "bars.html.j2")
    )
    for word in ("Gap score", "Irreducible loss", "Exponent", "Fitted range", "Scatter about the curve",
                 "rung", "ladder", "FLOPs", "extrapolated", "own r"):  # fmt: skip
        assert word in source and glossary.used_in(word), word
    for _, heading, _ in weaker.SHARES:
        assert heading.lower() in {term.name for term in glossary.used_in(heading)}


def test_unigram_tables_are_explained_where_they_are_a_baseline(record: AssayRecord) -> None:
    assert "<dt>unigram</dt>" not in render(record)
    first = record.texts[0]
    one = bars("strict induction", 3.61, {"unigram": 7.1}, 2.9142)
    changed = record.model_copy(update={"texts": (first.model_copy(update={"bars": (one,)}),)})
    assert "<dt>unigram</dt>" in render(changed)


def test_no_name_in_the_section_can_put_anything_into_the_page(record: AssayRecord) -> None:
    first = record.texts[0]
    scale, loss = scale_of(first), nats(3.61, 3.5, 3.7)
    bad = Explained(
        condition=PAYLOAD,
        loss=loss,
        equals=flops(7e12, 6e12, 8e12),
        shares={"data": Number(value=None, refused=PAYLOAD)},
        note=PAYLOAD,
    )
    rung = scale.rungs[0].model_copy(update={"name": PAYLOAD})
    left = scale.left[0].model_copy(update={"rung": PAYLOAD})
    hostile = bars(PAYLOAD, 3.61, {PAYLOAD: 9.0}, 2.9, PAYLOAD, (PAYLOAD, PAYLOAD))
    named = tuple(one.model_copy(update={"rung": PAYLOAD}) for one in hostile.rungs[:1])
    hostile = hostile.model_copy(update={"rungs": named})
    everywhere = scale.model_copy(
        update={
            "says": PAYLOAD,
            "rungs": (rung, *scale.rungs[1:]),
            "left": (left,),
            "explained": (bad, bad.model_copy(update={"equals": bad.shares["data"]})),
        }
    )
    text = first.model_copy(update={"scale": everywhere, "bars": (hostile,)})
    html = render(record.model_copy(update={"texts": (text,)}))
    assert_harmless(html)
    assert html.count("alert(1)") > 15
    everything = text_table(record.model_copy(update={"texts": (text,)}))
    whole = hostile.model_copy(update={"family": "all", "label": "all"})
    for out in (everything, markdown_compute(text), markdown_bars(
        text.model_copy(update={"bars": (whole,)})
    )):  # fmt: skip
        assert "\x1b" not in out and "\u202e" not in out
    assert "<script" not in markdown_compute(text)


# Terminal and Markdown


@pytest.mark.parametrize("columns", [72, 96, 120])
def test_the_terminal_has_it_in_short_and_cuts_no_number(
    record: AssayRecord, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    table = text_table(record)
    assert max(map(len, table.splitlines())) <= columns and "…" not in table
    start = table.index("as good as a model trained with")
    words = " ".join(table[start : table.index("repeats  50,800")].split())
    for one in compute.everyone(scale_of(record.texts[0])):
        assert fmt.compute(one.equals).value in words
        for number in one.shares.values():
            assert fmt.portion(number).value in words
    # Three places beyond the rungs; the model's own is one, so every share of the frontier's compute
    # is a share of what is extrapolated; and the line that explains the star.
    scale = scale_of(record.texts[0])
    every = compute.everyone(scale)
    values = [one.equals.value for one in every if one.equals.value is not None]
    far = [value for value in values if not scale.law.least <= value <= scale.law.greatest]
    assert len(far) == 3 and scale.subject.equals.value in far
    shares = [one.shares.get(kind) for one in every for kind in ("frontier", "bend")]
    starred = sum(share is not None and share.value is not None for share in shares)
    assert words.split().count("*") == 3 + starred + 1
    assert "rung-6 -414%" in words and "uniform 91.2%" in words
    assert FAR in words and "E 1.80 [1.21, 2.18] nats per token" in words


def test_a_share_of_an_extrapolated_model_is_extrapolated_whatever_it_is_a_share_of(
    record: AssayRecord,
) -> None:
    scale = scale_of(record.texts[0])
    near = next(one for one in scale.explained if one.shares["frontier"].value is not None
                and not scale.extrapolated(one))  # fmt: skip
    assert scale.subject.equals.value > scale.law.greatest
    within = Number(value=scale.law.greatest, unit="FLOPs")
    subject = scale.subject.model_copy(update={"equals": within})
    assert not scale.model_copy(update={"subject": subject}).extrapolated(near, "frontier")
    assert scale.extrapolated(near, "frontier") and not scale.extrapolated(near)
    assert not scale.extrapolated(near, "own run")
    none = near.model_copy(update={"shares": {"frontier": Number(value=None, refused="noise")}})
    assert not scale.extrapolated(none, "frontier") and not scale.extrapolated(none, "bend")


def test_the_markdown_tables_have_the_same_cells_in_every_line(text: TextResult) -> None:
    for table, cells, lines in (
        (markdown_compute(text).split("\n\n")[0], 10, 2 + 11),
        (markdown_bars(text), 12, 2 + 4 + 6),
    ):
        split = [re.split(r"(?<!\\)\|", line)[1:-1] for line in table.splitlines()]
        assert {len(row) for row in split} == {cells} and len(split) == lines
        assert "<script" not in table
    assert "| strict induction | 3.610 [3.580, 3.640] | 7.8 × 10¹²" in markdown_compute(text)
    assert "| rung-6 (weaker model) |" in markdown_bars(text)
    empty = text.model_copy(update={"bars": (), "scale": None})
    assert markdown_bars(empty) == markdown_compute(empty) == ""


@pytest.mark.parametrize("name", ["compute", "weaker", "term", "terms", "format", "charts"])
def test_the_examples_in_the_docstrings_hold(name: str) -> None:
    module = importlib.import_module(f"unexplained.report.{name}")
    assert doctest.testmod(module).failed == 0


def test_the_terminal_leaves_out_a_kind_of_share_that_nobody_has_and_says_why(
    monkeypatch: pytest.MonkeyPatch, record: AssayRecord
) -> None:
    text = record.texts[0]
    scale = scale_of(text)
    why = Number(value=None, unit="share", refused="no run was kept")
    explained = tuple(
        one.model_copy(update={"shares": {"frontier": one.shares["frontier"], "own run": why}})
        for one in scale.explained
        if "frontier" in one.shares
    )
    subject = scale.subject.model_copy(update={"shares": {"frontier": Number(value=1.0)}})
    scale = scale.model_copy(update={"explained": explained, "subject": subject})
    record = record.model_copy(update={"texts": (text.model_copy(update={"scale": scale}),)})
    for width in ("80", "120"):
        monkeypatch.setenv("COLUMNS", width)
        words = " ".join(text_table(record).split())
        assert "Own-run share: refused for all, no run was kept" in words
        assert "own-run" not in words
        # With one kind there is room for its intervals on any terminal.
        drawn = [fmt.portion(one.shares["frontier"]).interval for one in explained]
        assert all(interval in words for interval in drawn if interval) and any(drawn)
