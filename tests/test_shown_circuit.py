"""What a circuit record shows, from a hand-made one. Every number here is invented."""

from __future__ import annotations

import math
import re

import pytest

from cells import column
from sample_circuit import TOP, UNIT, WITHIN, curve, curves, sample_circuit
from sample_record import sample_record
from test_report import words_of
from unexplained.record import Record
from unexplained.record.blocks import Chart, Forest, Table
from unexplained.record.ids import walk
from unexplained.report import glossary, plots, render, text_table
from unexplained.report.drawn import drawn
from unexplained.report.pen import Pen


@pytest.fixture
def record() -> Record:
    return sample_circuit()


def placed(record: Record) -> plots.ChartPlot | None:
    given = drawn(record)
    above, chart = next((a, b) for a, b in walk(given.record.blocks) if isinstance(b, Chart))
    return Pen(given).plot(chart, above)


def lines(record: Record) -> tuple[plots.Line, ...]:
    plot = placed(record)
    assert plot is not None
    return plot.lines


def listed(html: str) -> set[str]:
    section = html[html.index('id="glossary"') : html.index('id="reproduce"')]
    return set(re.findall(r"<dt>([^<]*)</dt>", section))


def test_every_number_of_a_circuit_has_the_id_that_its_size_and_order_give_it(
    record: Record,
) -> None:
    for card, one in curves():
        for point in one.points:
            assert record[f"sizes/kept/{point.edges}/{card.name}"] == point.kept
            assert (
                record[f"sizes/logit difference/{point.edges}/{card.name}"]
                == point.logit_difference
            )
    assert sample_circuit(twin=True)["twin/sizes/kept/1000/eap"].refused == WITHIN


def test_the_page_says_of_what_and_how_circuits_were_measured(record: Record) -> None:
    text = words_of(render(record))
    assert "Pairs of prompts 64" in text and "over 32 orbits" in text
    assert "the first 3 of 100,000, by size" in text
    assert "Names that are one token only: 64 of 100." in text
    assert "divided by 5.00 [4.40, 5.60] logits per pair" in text
    assert "Neither 0 nor 100% is a limit" in text


def test_the_first_screen_says_of_how_many_pairs_and_what_none_and_all_are(record: Record) -> None:
    said = " ".join(text_table(record, columns=60).split())
    assert (
        "Of 64 pairs of prompts. 0%: the logit difference of the corrupted prompts; 100%: that of the clean"
        in said
    )


def test_the_glossary_has_the_terms_of_circuits_and_none_that_mean_something_else(
    record: Record,
) -> None:
    own = {"circuit", "edge", "edge attribution", "kept by a circuit", "orbit", "knee", "CPR",
           "corrupted prompt", "logit difference", "EAP (edge attribution patching)", "CMD",
           "EAP-IG (integrated gradients)", "MIB"}  # fmt: skip
    other = {"damage", "percentage points", "direct effect", "fraction recovered"}
    assert own | other <= {term.name for term in glossary.TERMS}
    settled = sample_circuit(curves()[:2])
    assert own <= listed(render(settled)) and other.isdisjoint(listed(render(settled)))
    assert own.isdisjoint(listed(render(sample_record())))


def test_a_circuit_stands_where_its_share_and_what_it_keeps_put_it(record: Record) -> None:
    _, eap, magnitude, _ = lines(record)
    # Four decades below 1: 1% is half of them, 50% is 1 + log10(0.5) / 4 = 0.92474 of all.
    assert eap.dots[2].x == 50.0 and magnitude.dots[3].x == 92.47
    plot = placed(record)
    assert plot is not None
    assert [(tick.words, tick.below) for tick in plot.across] == [
        ("0.01%", "10"), ("0.1%", "100"), ("1%", "1,000"), ("10%", "10,000"), ("100%", "100,000"),
    ]  # fmt: skip
    solid = {tick.words: tick.at for tick in plot.up if tick.solid}
    assert set(solid) == {"0%", "80%", "100%"}
    # 0.55 and its interval lie between the lines of reference as 0.55 lies between 0 and 1.
    height = solid["0%"] - solid["100%"]
    for place, kept in ((eap.dots[2].y, 0.55), (eap.dots[2].high, 0.63), (eap.dots[2].low, 0.47),
                        (magnitude.dots[3].y, 0.9)):  # fmt: skip
        assert place == pytest.approx(solid["0%"] - kept * height, abs=0.02)
    assert f"50,{eap.dots[2].y:g}" in eap.paths[0].split()
    assert f"50,{eap.dots[2].high:g}" in eap.bands[0].split()
    assert f'points="{eap.paths[0]}"' in render(record)


def test_a_refused_circuit_cuts_the_line_and_is_named_beside_the_curve(
    record: Record,
) -> None:
    magnitude = lines(record)[2]
    assert [len(path.split()) for path in magnitude.paths] == [2, 3]
    assert len(magnitude.dots) == 5
    text = words_of(render(record))
    assert "Not drawn, because refused: magnitude (1%)." in text
    assert f"{WITHIN}; it takes at least about 400 pairs." in text
    assert "at least about 400 pairs" in " ".join(text_table(record, full=True).split())


def test_a_circuit_far_below_the_corrupted_prompt_has_an_arrow_and_its_number(
    record: Record,
) -> None:
    far = lines(record)[3].dots[3]
    assert (far.x, far.y, far.beyond, far.value) == (75.0, 100.0, "down", "−90%")
    assert re.search(r'class="past"[^>]*>−90%</text>', render(record))
    _, height = lines(record)[3].paths[0].split()[3].split(",")
    assert float(height) > 100  # the line leaves the plot as steeply as it was measured


def test_baselines_are_grey_and_attributions_have_colours_of_their_own(
    record: Record,
) -> None:
    assert [line.style for line in lines(record)] == ["hue0", "hue1", "dash0", "dash1"]
    assert [line.tag for line in lines(record)] == [
        "internals", "internals", "baseline, internals", "baseline, internals",
    ]  # fmt: skip


def test_the_knee_is_ringed_except_where_it_is_the_whole_model(record: Record) -> None:
    rings = [[dot.ring for dot in line.dots] for line in lines(record)]
    assert rings[0] == ["", "", "dotted", "solid", "", ""]
    assert rings[2] == ["", "", "", "solid", ""]
    assert set(rings[3]) == {""}
    html = render(record)
    assert html.count('<circle class="knee "') == 3
    assert html.count('<circle class="knee value"') == 2


def test_what_there_is_none_of_is_not_written_as_a_number(record: Record) -> None:
    nothing = curve("eap", (0.0,) * 6, knee=None, knee_by_value=None, area=None, distance=None)
    alone = sample_circuit([nothing])
    _, table = next((a, b) for a, b in walk(alone.blocks) if getattr(b, "key", "") == "orders")
    assert isinstance(table, Table)
    cells = dict(zip((c.key for c in table.columns), table.rows[0].cells, strict=True))
    assert [cells[k] for k in ("area", "distance", "knee", "knee-by-value")] == [
        None, None, "none", "none",
    ]  # fmt: skip
    assert re.search(r"eap \(what eap does\) +– +– +none +none", text_table(alone, full=True))


def test_edges_near_zero_are_said_to_be_so(record: Record) -> None:
    forest = next(
        b
        for _, b in walk(drawn(record).record.blocks)
        if isinstance(b, Forest) and b.key == "forest"
    )
    # 0.21 is 1.5 standard errors of 0.14; 0.4021 is 2.7 of 0.15.
    assert [track.role for track in forest.tracks] == ["ablation", "ablation", "baseline"]
    score = drawn(record).numbers["edges/scores/L9.H1 → logits/score"]
    ends = (score.value, score.low, score.high)
    assert ends == pytest.approx((-1.2345, -1.4745, -0.9945)) and score.unit == UNIT
    text = words_of(render(record))
    assert "1 of these 3 is within two standard errors of zero" in text
    settled = sample_circuit(top=TOP[:2])
    assert "None of these is within two standard errors of zero" in words_of(render(settled))


def test_an_edge_that_one_orbit_scored_has_no_interval() -> None:
    for error in (0.0, math.nan):
        alone = sample_circuit(top=[TOP[0]._replace(error=error)])
        assert alone["edges/scores/L9.H1 → logits/score"].low is None
        assert column(alone, "edges/scores", "error") == [None]


def test_a_circuit_of_which_every_number_is_refused_is_drawn_too() -> None:
    silent = sample_circuit([curve("eap", (None,) * 6)])
    assert placed(silent) is None
    assert "every number was refused" in words_of(render(silent))
    assert text_table(silent, full=True).count("“eap” is refused in every row: ") == 1


def test_a_name_of_an_order_may_be_a_path() -> None:
    given = sample_circuit([curve("scores/mine.json", (0.1,) * 6)])
    assert given["sizes/kept/1000/scores:mine.json"].value == 0.1
