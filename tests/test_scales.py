"""Bars against weaker models and the scale of compute, as blocks. Every number here is invented."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sample_compute import bars
from sample_record import assayed, sample_record, web_text
from sample_rows import share
from test_report import words_of
from unexplained.bars import scales
from unexplained.bars.standing import groups, standing
from unexplained.curves.choice import ERROR_RATIO
from unexplained.instruments._assay_text import OnText
from unexplained.record import Number, Record, Scale
from unexplained.record import format as fmt
from unexplained.record.blocks import Prose, Section, Table
from unexplained.record.compute import LeftOutRung
from unexplained.report import glossary, render
from unexplained.report.terms import COMPUTE

VERDICTS = re.compile(r"\b(pass(es|ed)?|fail(s|ed|ure)?|good enough|succe\w+)\b", re.IGNORECASE)
NOT_A_VERDICT = re.compile(r"(no bar is|none is) a pass mark", re.IGNORECASE)


@pytest.fixture(scope="module")
def record() -> Record:
    return sample_record()


@pytest.fixture(scope="module")
def text() -> OnText:
    return web_text()


@pytest.fixture(scope="module")
def section(record: Record) -> str:
    """Compute and bars of the first text, as the page has them."""
    html = render(record)
    return html[html.index('id="text-1/compute"') : html.index('id="text-1/strata"')]


def scale_of(text: OnText) -> Scale:
    assert text.scale is not None
    return text.scale


def table_of(section: Section, key: str) -> Table:
    (table,) = [block for block in section.blocks if isinstance(block, Table) and block.key == key]
    return table


def cells_of(table: Table) -> dict[str, dict[str, object]]:
    """Row key, column key: cell."""
    return {
        row.key: {c.key: cell for c, cell in zip(table.columns, row.cells, strict=True)}
        for row in table.rows
    }


def everywhere(text: OnText) -> Section:
    """The bars on all tokens."""
    (whole,) = [b for b in standing(text.bars).blocks if isinstance(b, Section) and not b.folded]
    return whole


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


# The scale


def test_every_number_of_the_scale_stands_in_its_cell(text: OnText) -> None:
    scale = scale_of(text)
    cells = cells_of(table_of(scales.compute(scale, {}), "conditions"))
    assert list(cells) == ["intact", *(one.condition.replace("/", ":") for one in scale.explained)]
    for one, row in zip(scales.everyone(scale), cells.values(), strict=True):
        assert row["loss"] is one.loss and row["equals"] is one.equals
        assert {kind: row[kind] for kind in one.shares} == one.shares
        assert sum(cell is None for cell in row.values()) == 6 - len(one.shares)


def test_each_kind_of_share_has_its_own_column_and_its_meaning(text: OnText) -> None:
    section = scales.compute(scale_of(text), {})
    headings = [c.heading for c in table_of(section, "conditions").columns[2:]]
    assert headings == [heading for _, heading, _ in scales.SHARES]
    said = [block.words for block in section.blocks if isinstance(block, Prose)]
    meanings = [f"{heading}: {meaning}" for _, heading, meaning in scales.SHARES]
    assert [words for words in said if words in meanings] == meanings and len(set(meanings)) == 6
    old = scale_of(text).model_copy(update={"explained": (), "bend": None})
    assert "bend" not in [c.key for c in table_of(scales.compute(old, {}), "conditions").columns]


def test_a_left_out_rung_is_covered_only_where_the_interval_holds_its_compute() -> None:
    zero = Number(value=0.0)

    def left(low: float | None, high: float | None, value: float | None = 2e12) -> LeftOutRung:
        why = "" if value else "beyond the ladder"
        equals = Number(value=value, low=low, high=high, unit="FLOPs", refused=why)
        return LeftOutRung(
            rung="3", loss=zero, predicted=zero, compute=2e12, equals=equals, outside=False
        )

    assert scales.covered(left(1e12, 3e12)) is True
    assert scales.covered(left(2.5e12, 3e12)) is False
    assert scales.covered(left(1e12, 1.5e12)) is False
    assert scales.covered(left(1e12, None)) is True
    assert scales.covered(left(2.5e12, None)) is False
    assert scales.covered(left(None, 1.5e12)) is False
    assert scales.covered(left(None, None)) is None
    assert scales.covered(left(None, None, None)) is None


def test_the_left_out_rungs_say_what_the_others_predicted(text: OnText) -> None:
    table = table_of(scales.compute(scale_of(text), {}), "left-out")
    assert [row.name for row in table.rows] == [f"rung-{i}" for i in range(1, 7)]
    assert [row.name for row in table.rows if row.note] == ["rung-1", "rung-6"]
    cells = cells_of(table)
    assert [row["holds"] for row in cells.values()] == ["yes", "yes", "no", "yes", "yes", "no"]
    assert cells["rung-3"]["factor"] == "1.4 times"
    for left, row in zip(scale_of(text).left, cells.values(), strict=True):
        assert (row["loss"], row["predicted"]) == (left.loss, left.predicted)
        assert (row["compute"], row["equals"]) == (left.compute, left.equals)
    assert "own compute in 4 of 6 cases; 2 of the 6 are ends" in table.caption


def test_without_a_curve_the_reason_is_given_and_nothing_is_said_of_one(text: OnText) -> None:
    refusal = "three numbers are not settled by two rungs"
    gone = scale_of(text).model_copy(update={"law": None, "bend": None, "refused": refusal})
    section = scales.compute(gone, {})
    assert any(isinstance(b, Prose) and f"no curve: {refusal}" in b.words for b in section.blocks)
    assert not [b for b in section.blocks if isinstance(b, Table) and b.key == "law"]


def test_what_is_known_of_either_curve_stands_fact_by_fact(text: OnText) -> None:
    scale = scale_of(text)
    assert scale.law is not None and scale.bend is not None

    def facts(of: Scale) -> dict[str, object]:
        return {row.key: row.cells[0] for row in table_of(scales.compute(of, {}), "law").rows}

    found = facts(scale)
    assert (found["floor"], found["bend-exponent"]) == (scale.law.floor, scale.bend.exponent)
    assert found["off-law"] == fmt.portion(Number(value=scale.law.left_out)).value
    assert found["off-bend"] == fmt.portion(Number(value=scale.bend.left_out)).value
    assert found["off-law"] != found["off-bend"]
    assert found["middle"] == fmt.power(scale.bend.middle)
    chosen = next(r for r in table_of(scales.compute(scale, {}), "law").rows if r.key == "chosen")
    assert f"less than {ERROR_RATIO:g} times as much" in chosen.note and ERROR_RATIO == 0.75
    assert found["scatter"] == "0.61% of a loss"
    assert facts(scale.model_copy(update={"form": "bend"}))["scatter"] == "0.68% of a loss"
    exact = scale.model_copy(update={"law": scale.law.model_copy(update={"noise": None})})
    assert str(facts(exact)["scatter"]).startswith("cannot be told: ")
    alone = facts(scale.model_copy(update={"bend": None}))
    assert "off-law" in alone and not {"off-bend", "middle", "chosen"} & set(alone)


# The bars


def test_a_weaker_model_stands_among_the_conditions_with_its_own_r(text: OnText) -> None:
    table = table_of(everywhere(text), "recovered")
    names = [row.name for row in table.rows]
    assert names.index("rung-3") < names.index("strict induction") < names.index("rung-4")
    losses = [row.cells[0].value for row in table.rows]  # type: ignore[union-attr]
    assert losses == sorted(losses, reverse=True)  # type: ignore[type-var]
    cells = cells_of(table)
    for bar in text.bars[0].rungs:
        row = cells[f"weaker {bar.rung}"]
        assert row["loss"] is bar.loss and {name: row[name] for name in bar.share} == bar.share
    assert cells["strict induction"]["place"] == "between rung-3 and rung-4"
    for base in text.bars[0].baselines:
        assert cells["strict induction"][base.baseline] is base.recovered
    assert "at 95% for all comparisons of a condition together (99.17% each)" in table.caption


def test_every_gap_score_stands_under_its_rung_with_the_comparison_in_words(
    text: OnText,
) -> None:
    row = cells_of(table_of(everywhere(text), "scores"))["strict induction"]
    assert [row[bar.rung] for bar in text.bars[0].rungs] == [b.score for b in text.bars[0].rungs]
    beside = [row[f"rung-{i} beside"] for i in range(1, 7)]
    assert beside == ["lower loss"] * 3 + ["higher loss"] * 3
    tied = bars("x", 3.05, {"mean": 4.41}, 2.9142, "ties with rung-6")
    assert tied.place is not None and tied.place.rungs("ties") == ("rung-6",)
    whole = everywhere(replace(text, bars=(tied,)))
    assert cells_of(table_of(whole, "scores"))["x"]["rung-6 beside"] == "not told apart"


def test_bars_on_some_of_the_tokens_are_kept_apart_from_those_on_all(text: OnText) -> None:
    assert [len(group.bars) for group in groups(text.bars)] == [4, 1]
    sections = [block for block in standing(text.bars).blocks if isinstance(block, Section)]
    assert [section.folded for section in sections] == [False, True]
    assert sections[1].title == "recurrence: recurs, continuation repeats, 11,390 tokens"
    assert groups(text.bars[::-1])[0].label == "all"


def test_a_weaker_model_that_is_a_condition_too_stands_in_the_table_once(text: OnText) -> None:
    (group, _) = groups(text.bars)
    rung = group.rungs[0].rung
    again = text.bars[0].model_copy(update={"condition": rung})
    section = standing((again, *text.bars)).blocks[1]
    names = [row.name for row in table_of(section, "recovered").rows]
    assert names.count(rung) == 1 and "strict induction" in names


def test_the_distance_to_every_bar_is_given_for_every_baseline(text: OnText) -> None:
    table = table_of(everywhere(text), "distances")
    assert [c.heading for c in table.columns] == ["50%", "80%", "90%", "98%", "99%", "Nines"]
    base = text.bars[0].baselines[0]
    row = cells_of(table)["strict induction against uniform"]
    assert [row[f"{float(bar):g}"] for bar in base.distances] == list(base.distances.values())
    assert row["nines"] is base.nines


def test_a_text_without_a_ladder_says_so_and_shows_its_baselines(record: Record) -> None:
    html = render(record)
    words = words_of("<p " + html[html.index('id="text-2"') : html.index('id="controls"')])
    assert scales.NO_LADDER in words
    assert "Gap score against" not in words and "Place among" not in words
    assert "it takes at least about 88,000 tokens" in words_of(html)


# Words


def test_no_word_of_the_section_is_a_verdict(text: OnText, section: str) -> None:
    def verdicts(words: str) -> list[str]:
        return [m[0] for m in VERDICTS.finditer(NOT_A_VERDICT.sub("", words))]

    assert verdicts("it passed") and verdicts("a failure") and not verdicts("no bar is a pass mark")
    assert not verdicts(words_of(section))


def test_every_term_of_the_section_is_in_the_glossary(record: Record, section: str) -> None:
    html = render(record)
    listed = re.findall(r"<dt>([^<]*)</dt>", html[html.index('<dl class="glossary">') :])
    assert {term.name for term in COMPUTE} <= set(listed)
    words = words_of(section)
    for word in ("Gap score", "Irreducible loss", "Exponent", "Fitted range", "Scatter about the curve",
                 "rung", "ladder", "FLOPs", "extrapolated", "own r"):  # fmt: skip
        assert word in words and glossary.used_in(word), word
    for _, heading, _ in scales.SHARES:
        assert heading.lower() in {term.name for term in glossary.used_in(heading)}


def test_unigram_tables_are_explained_where_they_are_a_baseline(record: Record) -> None:
    assert "<dt>unigram</dt>" not in render(record)
    one = bars("strict induction", 3.61, {"unigram": 7.1}, 2.9142)
    assert "<dt>unigram</dt>" in render(assayed(replace(web_text(), bars=(one,))))


def test_a_share_of_an_extrapolated_model_is_extrapolated_whatever_it_is_a_share_of(
    text: OnText,
) -> None:
    scale = scale_of(text)
    assert scale.law is not None and scale.subject is not None
    near = next(one for one in scale.explained if one.shares["frontier"].value is not None
                and not scale.extrapolated(one))  # fmt: skip
    assert (scale.subject.equals.value or 0.0) > scale.law.greatest
    within = Number(value=scale.law.greatest, unit="FLOPs")
    subject = scale.subject.model_copy(update={"equals": within})
    assert not scale.model_copy(update={"subject": subject}).extrapolated(near, "frontier")
    assert scale.extrapolated(near, "frontier") and not scale.extrapolated(near)
    assert not scale.extrapolated(near, "own run")
    assert scales.note(near, scale) == "shares by a curve: of what is extrapolated"
    none = near.model_copy(update={"shares": {"frontier": Number(value=None, refused="noise")}})
    assert not scale.extrapolated(none, "frontier") and not scale.extrapolated(none, "bend")
    # Below the ladder by the curve that was chosen: then a share by another curve is no better.
    below = near.model_copy(update={"equals": Number(value=None, refused="below the ladder")})
    assert scale.model_copy(update={"subject": subject}).extrapolated(below, "frontier")
