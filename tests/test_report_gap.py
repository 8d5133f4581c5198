"""The page and the tables of where a gap lives, from a hand-made record."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import pytest

from sample_gap import CROSS, FAIR, FLATTERED, OWN, SAYS, SECOND, claim, curve, sample_gap
from sample_record import sample_record
from sample_rows import NOISE, refused
from test_report import PAYLOAD, Elements, assert_harmless, swap_texts, words_of
from unexplained.record import GapRecord, Number, load_record
from unexplained.record.bars import Concentration
from unexplained.report import format as fmt
from unexplained.report import gaps, glossary, render, text_table
from unexplained.report.terms_gap import GAP


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables are as wide as the terminal; what they say here must not depend on whose it is."""
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture
def record() -> GapRecord:
    return sample_gap()


def respread(record: GapRecord, **changes: object) -> GapRecord:
    return record.model_copy(update={"spread": record.spread.model_copy(update=changes)})


def reown(record: GapRecord, **changes: object) -> GapRecord:
    return record.model_copy(update={"flattered": record.flattered.model_copy(update=changes)})


def placed(record: GapRecord) -> gaps.Plot:
    plot = gaps.plot(record)
    assert plot is not None
    return plot


def without_gap(one: Concentration) -> Concentration:
    """A net gap within noise: whatever divides by it is refused."""
    no = refused()
    return one.model_copy(
        update={
            "curve": curve((None,) * 6), "carrying": dict.fromkeys(one.carrying, no),
            "index": no, "factor": no, "effective": no,
        }
    )  # fmt: skip


def listed(html: str) -> set[str]:
    section = html[html.index('id="glossary"') : html.index('id="reproduce"')]
    return set(re.findall(r"<dt>([^<]*)</dt>", section))


def section(html: str, name: str) -> str:
    start = html.index(f'<section aria-labelledby="{name}"')
    return html[start : html.index("</section>", start)]


def concentrations(one: Concentration) -> list[str]:
    whole = [str(fmt.show(n)) for n in (one.effective, one.factor, *one.carrying.values())]
    return whole + [str(fmt.show(n, share=False)) for n in (one.index, one.bounded)]


def test_the_page_has_every_number_of_the_record_and_runs_nothing(record: GapRecord) -> None:
    html = render(record)
    assert_harmless(html)
    text = words_of(html)
    for one in (record.spread, record.flattered):
        shown = [str(fmt.show(point.carries)) for point in one.curve]
        for number in [*concentrations(one), *shown]:
            assert number in text
    one, part = record.spread, record.on_crucial[0].crucial
    for number in (record.strong_loss, record.weak_loss, one.gap, one.gained, one.given_back,
                   one.worse, part.damage, part.carries, part.gap):  # fmt: skip
        assert str(fmt.show(number)) in text
    assert "12,192 in 96 documents" in text and "The tokenizer adds <|start|>." in text


def test_the_page_says_which_models_are_scored_and_which_put_the_tokens_in_order(
    record: GapRecord,
) -> None:
    text = words_of(render(record))
    assert "Weaker model rung <b>3</b> , loss 4.55" in text.replace("3</b>,", "3</b> ,")
    assert f"puts the tokens in order {SECOND[0]} and {SECOND[1]}" in text


def test_both_orders_stand_side_by_side_the_honest_one_first(record: GapRecord) -> None:
    text = words_of(section(render(record), "numbers-h"))
    heads = [text.index("by the second pair"), text.index("by the models' own gap")]
    assert heads == sorted(heads) and "flattered by chance" in text
    for name, first, second in (
        ("Effective share of the tokens", "33.0% [29.0%, 37.9%]", "6.3% [5.2%, 7.5%]"),
        ("Concentration factor 1: an even gap", "3.03 [2.64, 3.45]", "15.91 [13.27, 19.21]"),
        ("Tokens carrying 80% of the net gap", "63% [57%, 69%]", "10.1% [9.1%, 11.1%]"),
    ):
        assert f"{name} {first} {second}" in text


def test_an_index_is_no_percentage(record: GapRecord) -> None:
    text = words_of(section(render(record), "numbers-h"))
    assert "Concentration index 0: an even gap 0.36 [0.30, 0.42] 2.04 [1.85, 2.23]" in text
    assert "concentration index 0.36 [0.30, 0.42]" in " ".join(text_table(record).split())


def test_the_caution_of_each_order_is_on_the_page_and_in_the_terminal(record: GapRecord) -> None:
    text, table = words_of(render(record)), " ".join(text_table(record).split())
    for caution in (CROSS, OWN):
        assert caution in text and caution in table
    assert table.index(f"second pair: {SECOND[0]} and {SECOND[1]}. {CROSS}")
    assert f"own gap: {OWN}" in table


def test_a_point_of_the_curve_stands_where_its_share_and_what_it_carries_put_it(
    record: GapRecord,
) -> None:
    plot = placed(record)
    # From 0 to 1.8, and 4% of that above.
    assert (plot.y.low, round(plot.y.high, 6)) == (0.0, 1.872)
    height = [round(100 * (1 - value / 1.872), 2) for value in FAIR]
    assert [(dot.x, dot.y) for dot in plot.dots] == list(
        zip((1, 10, 30, 50, 90, 100), height, strict=True)
    )
    assert plot.lines == (" ".join(["0,100", *(f"{d.x:g},{d.y:g}" for d in plot.dots)]),)
    # Its band is 0.02 either way, and nothing at both ends.
    low, high = (round(100 * (1 - value / 1.872), 2) for value in (0.68, 0.72))
    corners = plot.band.split()
    assert f"50,{high:g}" in corners and f"50,{low:g}" in corners and len(corners) == 13
    assert plot.own[0].split()[4] == "50,3.85"
    html = render(record)
    assert f'<polyline class="path hue0" points="{plot.lines[0]}"' in html
    assert f'<polyline class="path dash0" points="{plot.own[0]}"' in html
    assert f'<polygon class="band hue0" points="{plot.band}"' in html


def test_the_diagonal_goes_from_nothing_to_the_whole_gap(record: GapRecord) -> None:
    plot = placed(record)
    foot, top = plot.from_top(0.0), plot.from_top(1.0)
    assert f'<line class="even" x1="0" y1="{foot}%" x2="100%" y2="{top}%"/>' in render(record)
    assert (foot, top) == (100.0, round(100 * (1 - 1 / 1.872), 2))


def test_the_whole_gap_is_on_the_axis_even_where_no_point_reaches_it(record: GapRecord) -> None:
    low = curve((0.01, 0.1, 0.3, 0.5, 0.6, None))
    plot = placed(reown(respread(record, curve=low), curve=low))
    assert plot.y.high >= 1.0 and plot.from_top(1.0) >= 0


def test_the_curves_are_named_where_there_is_room(record: GapRecord) -> None:
    plot = placed(record)
    # They are 1.1 apart at half of the tokens, and 1.0 at 0.3; the other is highest there too.
    assert plot.name == (50.0, plot.from_top(0.7)) and plot.own_name == (50.0, plot.from_top(1.8))
    chart = section(render(record), "curve-h")
    for name in ("second pair", "by the models' own gap", "flattered by chance", "an even gap"):
        assert re.search(rf'<text class="label[^>]*>(?:<tspan[^>]*>by the </tspan>)?{name}', chart)
    last = reown(record, curve=curve((0.1, 0.2, 0.4, 0.6, 0.8, 1.0)))
    # A name at the very edge would stick out of a narrow page.
    assert placed(last).own_name == (70.0, placed(last).from_top(1.0))


def test_a_curve_that_chance_brings_high_leaves_the_chart_and_says_how_high(
    record: GapRecord,
) -> None:
    far = reown(record, curve=curve((0.5, 2.0, 5.0, 5.6, 4.0, 1.0)))
    plot = placed(far)
    assert plot.y.high == pytest.approx(1.04 * gaps.HIGHEST) and plot.peak == "560%"
    assert float(plot.own[0].split()[4].split(",")[1]) < 0 and plot.own_name == (50.0, 0.0)
    assert "own gap, up to 560%:" in words_of(render(far))
    assert placed(record).peak == "" and "up to" not in words_of(section(render(record), "curve-h"))
    high = respread(record, curve=curve((0.5, 2.0, 3.0, 3.5, 3.2, 1.0)))
    assert [dot.beyond for dot in placed(high).dots] == ["", "", "", "up", "up", ""]
    assert section(render(high), "curve-h").count('<path class="arrow"') == 2


def test_a_refused_point_cuts_the_line_and_takes_the_band_away(record: GapRecord) -> None:
    cut = placed(respread(record, curve=curve((0.05, 0.25, None, 0.7, 0.96, 1.0))))
    assert [len(line.split()) for line in cut.lines] == [3, 3]
    assert cut.band == "" and len(cut.dots) == 5
    start = placed(respread(record, curve=curve((None, 0.25, 0.5, 0.7, 0.96, 1.0))))
    assert start.lines[0].startswith("10,")


def test_a_gap_within_noise_has_no_curve_and_the_reason_in_a_footnote(record: GapRecord) -> None:
    none = record.model_copy(
        update={"spread": without_gap(record.spread), "flattered": without_gap(record.flattered)}
    )
    assert gaps.plot(none) is None
    html = render(none)
    assert_harmless(html)
    text, table = words_of(html), " ".join(text_table(none).split())
    assert "There is no curve to draw" in text and '<figure class="curve' not in html
    assert "How few tokens carry half of the net gap is refused" in text
    assert "Effective share of the tokens refused 1 refused 1" in text
    # What does not divide by the net gap is still given.
    assert "Bounded index between −1 and 1 0.129" in text
    for words in (text, table):
        assert f"{NOISE}; about 310,000 tokens would settle it" in words.replace("−", "-")
    assert "effective share refused [1] refused [1]" in table


def test_explanations_stand_on_the_crucial_tokens_above_the_rest(record: GapRecord) -> None:
    text = words_of(section(render(record), "crucial-h"))
    assert f"Crucial tokens: {SAYS}." in text and "Explained: L0.H0, L0.H1." in text
    crucial, rest = text.index("crucial 610 5%"), text.index("the rest 11,582 95%")
    assert crucial < text.index("3.3% [1.3%, 5.3%]") < rest < text.index("−3.2% [−5.4%, −1.0%]")
    assert text.index("−534% [−654%, −414%]") < rest < text.index("refused")
    table = " ".join(text_table(record).split())
    assert f"crucial: {SAYS}" in table
    assert re.search(r"crucial 610 5\.62 \[5\.32, 5\.90\] 3\.3% \[1\.3%, 5\.3%\]", table)


def test_without_explanations_nothing_is_said_of_crucial_tokens(record: GapRecord) -> None:
    bare = record.model_copy(update={"on_crucial": (), "sites": (), "text_notes": ()})
    html = render(bare)
    assert_harmless(html)
    assert 'id="crucial-h"' not in html and "crucial" not in words_of(html)
    assert "explanation" not in text_table(bare)


def test_an_explanation_without_a_weaker_model_has_dashes(record: GapRecord) -> None:
    part = claim().crucial.model_copy(update={"gap": None, "score": None})
    alone = claim("mine").model_copy(update={"weak": None, "crucial": part, "rest": part})
    text = words_of(
        section(render(record.model_copy(update={"on_crucial": (alone,)})), "crucial-h")
    )
    assert "against mean crucial" in text and "3.3% [1.3%, 5.3%] – –" in text


def test_near_zero_losses_are_held_side_by_side_with_their_probabilities(
    record: GapRecord,
) -> None:
    text = words_of(section(render(record), "signs-h"))
    row = "0.1 90% 0.29% [0.14%, 0.47%] 0.72% [0.51%, 0.97%] +0.43 [+0.29, +0.59]"
    assert row in text and "0.5 61% 2.2%" in text
    none = render(respread(record, near_zero=()))
    assert "Probability above" not in none and "Gained where it is better" in none


def test_the_gap_is_what_is_gained_less_what_is_given_back(record: GapRecord) -> None:
    table = " ".join(text_table(record).split())
    assert "On 38.6% [37.5%, 39.7%] of the tokens the strong model has the higher loss" in table
    assert re.search(r"gains 0\.504 .* gives back 0\.241 .* net gap of 0\.263", table)


def test_no_field_of_a_gap_can_put_anything_into_the_page(record: GapRecord) -> None:
    dumped = swap_texts(record.model_dump(), PAYLOAD)
    assert isinstance(dumped, dict)
    hostile = GapRecord.model_validate(dumped)
    assert hostile.chosen_by[1].endswith(PAYLOAD) and hostile.on_crucial[0].says.endswith(PAYLOAD)
    assert hostile.spread.caution.endswith(PAYLOAD)
    html = render(hostile)
    assert_harmless(html)
    assert html.count("<svg") == render(record).count("<svg")
    assert "\x1b" not in text_table(hostile)


def test_every_term_of_the_page_is_in_its_glossary_and_on_no_page_of_an_assay(
    record: GapRecord,
) -> None:
    own = {term.name for term in GAP}
    assert own <= {term.name for term in glossary.TERMS}
    there = listed(render(record))
    assert own | {"damage", "gap score", "loss", "interval", "nats per token"} <= there
    assert own.isdisjoint(listed(render(sample_record())))


def test_every_heading_that_is_a_measure_is_a_term(record: GapRecord) -> None:
    for name, *_ in gaps.rows(record)[:4]:
        assert name.lower() in {term.name for term in GAP}


def test_a_list_of_shares_that_one_order_lacks_is_not_written_as_a_number(
    record: GapRecord,
) -> None:
    lacking = reown(record, carrying={"0.5": Number(value=0.046)}, curve=record.flattered.curve[:2])
    text = words_of(section(render(lacking), "numbers-h"))
    assert re.search(r"Tokens carrying 100% of the net gap 97% \[87%, 100%\] refused \d", text)
    assert "50% 70.0% [68.0%, 72.0%] –" in text and FLATTERED[3] not in [
        n.value for *_, n in gaps.points(lacking) if n is not None
    ]


@pytest.mark.parametrize("columns", [20, 72, 100, 120])
def test_no_number_of_a_gap_is_cut_off_in_the_terminal(
    record: GapRecord, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    table = text_table(record)
    assert max(map(len, table.splitlines())) <= max(columns, 72) and "…" not in table
    shown = " ".join(table.split())
    for one in (record.spread, record.flattered):
        for words in concentrations(one):
            assert words.replace(fmt.MINUS, "-") in shown
    near = [n for at in record.spread.near_zero for n in (at.weak, at.strong)]
    part = record.on_crucial[0].crucial
    for number in (*near, part.recovered, part.score):
        for end in (fmt.show(number).value, fmt.show(number).interval):
            assert end.replace(fmt.MINUS, "-") in shown


def test_every_link_of_the_page_leads_somewhere_and_no_id_is_used_twice(record: GapRecord) -> None:
    tags = Elements(render(record)).tags
    ids = [a["id"] for _, a in tags if "id" in a]
    assert len(ids) == len(set(ids)) and "gap-note-1" in ids
    for _, attributes in tags:
        for name in ("href", "aria-labelledby"):
            if name in attributes and attributes[name] != "data:,":
                assert str(attributes[name]).removeprefix("#") in ids


def test_a_gap_record_is_read_back(record: GapRecord, tmp_path: Path) -> None:
    path = record.save(tmp_path / "gap.json")
    assert load_record(path) == record
    assert render(load_record(path)) == render(record)
    assert record.report(tmp_path / "gap.html").read_text(encoding="utf-8") == render(record)


def test_the_examples_in_the_docstrings_of_gaps_hold() -> None:
    found = doctest.testmod(importlib.import_module("unexplained.report.gaps"))
    assert found.failed == 0 and found.attempted > 0
