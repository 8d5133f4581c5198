"""A circuit record's page and table, from a hand-made record. Every number here is invented."""

from __future__ import annotations

import doctest
import importlib
import re
from itertools import pairwise
from pathlib import Path

import pytest

from sample_record import sample_record
from sample_rows import HOSTILE_DOMAIN, HOSTILE_NAME, refused
from test_report import PAYLOAD, Elements, assert_harmless, swap_texts, words_of
from unexplained.record import CircuitRecord, Curve, EdgeScore, Number, Point, load_record
from unexplained.record import format as fmt
from unexplained.report import circuits, glossary, recovery, render, text_table

EDGES = 100_000
SHARES = (0.0002, 0.001, 0.01, 0.1, 0.5, 1.0)
UNIT = "logits per pair"
WITHIN = (
    "the denominator (margin of the clean less that of the corrupted prompts) is 0.2 [−0.1, 0.5] "
    "logits per pair, within noise of zero"
)


def logits(value: float, spread: float = 0.4) -> Number:
    return Number(value=value, low=value - spread, high=value + spread, unit=UNIT)


def point(share: float, kept: float | None, spread: float = 0.08) -> Point:
    number = (
        refused(WITHIN, 400)
        if kept is None
        else Number(value=kept, low=kept - spread, high=kept + spread, unit="share")
    )
    return Point(
        edges=round(share * EDGES), share=share, margin=logits(5 * (kept or 0) - 1), kept=number
    )


def curve(name: str, kept: tuple[float | None, ...], kind: str = "attribution", **more: object) -> Curve:  # fmt: skip
    points = [
        point(share, value, 0.0 if share == 1 else 0.08)
        for share, value in zip(SHARES, kept, strict=True)
    ]
    fields = {
        "name": name, "says": f"what {name} does", "kind": kind, "points": points,
        "area": 0.951, "distance": 0.082, "knee": 50_000, "knee_by_value": 10_000,
    }  # fmt: skip
    return Curve.model_validate(fields | more)


@pytest.fixture
def record() -> CircuitRecord:
    return CircuitRecord(
        title=f"Circuits for ioi in {HOSTILE_NAME}",
        verdict="Of the 100,000 edges, the smallest measured circuits that keep 80% of ioi: "
        "1,000 by eap-ig-inputs (84% [76%, 92%]).",
        subject=HOSTILE_NAME,
        subject_fingerprint="c0ffee",
        text=HOSTILE_DOMAIN,
        text_fingerprint="deadbeef",
        text_notes=("Names that are one token only: 64 of 100.",),
        pairs=64,
        orbits=32,
        fit_pairs=48,
        edges=EDGES,
        clean=logits(4.1),
        corrupted=logits(-0.9),
        gap=logits(5.0, 0.6),
        accuracy=Number(value=0.97, low=0.91, high=1.0, unit="share"),
        by="absolute",
        curves=(
            curve("eap-ig-inputs", (0.06, 0.42, 0.84, 1.12, 1.04, 1.0), knee=10_000, knee_by_value=1_000),
            curve("eap", (0.02, 0.11, 0.55, 0.88, 0.97, 1.0)),
            curve("magnitude", (0.01, -0.07, None, 0.31, 0.9, 1.0), "baseline",
                  area=None, distance=None, knee_by_value=50_000),
            curve("random", (-0.01, -0.02, -0.2, -0.9, -0.4, 1.0), "baseline",
                  knee=100_000, knee_by_value=100_000, draws=5),
        ),
        top=(
            EdgeScore(name="a9.h1->logits", score=-1.2345, error=0.12),
            EdgeScore(name="input->a0.h3<q>", score=0.4021, error=0.15),
            EdgeScore(name="m0->a5.h5<k>", score=-0.21, error=0.14),
        ),
        method="eap-ig-inputs",
        resamples=2000,
        seed=0,
        command="unexplained circuit model ioi",
        versions={"unexplained": "0.1.0"},
        machine={"cores": "2"},
        measured="2026-11-24T12:00:00+00:00",
        seconds=12.0,
    )  # fmt: skip


def numbers(record: CircuitRecord) -> list[Number]:
    kept = [p.kept for c in record.curves for p in c.points]
    return [record.accuracy, record.clean, record.corrupted, record.gap, *kept]


def placed(record: CircuitRecord) -> recovery.Plot:
    drawn = recovery.plot(record)
    assert drawn is not None
    return drawn


def listed(html: str) -> set[str]:
    section = html[html.index('id="glossary"') : html.index('id="reproduce"')]
    return set(re.findall(r"<dt>([^<]*)</dt>", section))


def test_the_page_has_every_number_and_every_edge_and_runs_nothing(record: CircuitRecord) -> None:
    html = render(record)
    assert_harmless(html)
    text = words_of(html)
    for number in numbers(record):
        assert str(fmt.show(number)) in text
    for edge in record.top:
        assert edge.name in text and circuits.score(edge) in text
    assert "64 in 32 orbits" in text and "48 other pairs" in text and "100,000" in text
    assert "Names that are one token only: 64 of 100." in text
    assert "It is divided by 5.00 [4.40, 5.60] logits per pair" in text
    assert "Neither 0 nor 100% is a limit" in text


def test_the_glossary_has_the_terms_of_circuits_and_none_that_mean_something_else(
    record: CircuitRecord,
) -> None:
    own = {"circuit", "edge", "edge attribution", "kept by a circuit", "orbit", "knee", "CPR",
           "corrupted prompt", "logit difference", "EAP (edge attribution patching)", "CMD",
           "EAP-IG (integrated gradients)", "MIB"}  # fmt: skip
    other = {"damage", "percentage points", "direct effect", "fraction recovered"}
    assert own | other <= {term.name for term in glossary.TERMS}
    settled = record.model_copy(update={"curves": record.curves[:2]})
    assert own <= listed(render(settled)) and other.isdisjoint(listed(render(settled)))
    assert own.isdisjoint(listed(render(sample_record())))


def test_no_field_of_a_circuit_can_put_anything_into_the_page(record: CircuitRecord) -> None:
    dumped = swap_texts(record.model_dump(), PAYLOAD)
    assert isinstance(dumped, dict)
    fixed = {"kind": "circuit", "by": "signed", "method": PAYLOAD}
    hostile = CircuitRecord.model_validate(dumped | fixed)
    assert hostile.curves[0].name.endswith(PAYLOAD) and hostile.top[0].name.endswith(PAYLOAD)
    html = render(hostile)
    assert_harmless(html)
    assert html.count("<svg") == render(record).count("<svg")
    assert "\x1b" not in text_table(hostile)


def test_a_circuit_stands_where_its_share_and_what_it_keeps_put_it(record: CircuitRecord) -> None:
    plot = placed(record)
    # Four decades below 1. Intervals reach from -0.48 to 1.2, and -0.53 is cut to -0.5.
    assert plot.x.decades == 4 and (plot.y.low, plot.y.high) == (-0.5, 1.25)
    _, eap, magnitude, _ = plot.lines
    # 1% is half of four decades; 0.55 is 1.05 of 1.75 above the foot.
    assert (eap.dots[2].x, eap.dots[2].y) == (50.0, 40.0)
    # 50%: 1 + log10(0.5) / 4 = 0.92474; 0.9 is 1.4 of 1.75 above the foot.
    assert (magnitude.dots[3].x, magnitude.dots[3].y) == (92.47, 20.0)
    assert "50,40" in eap.paths[0].split() and "92.47,20" in magnitude.paths[1].split()
    # Its band is 0.08 either way: 100 · 0.08 / 1.75 = 4.57.
    assert {"50,35.43", "50,44.57"} <= set(eap.bands[0].split())
    html = render(record)
    assert f'points="{eap.paths[0]}"' in html and 'x="50.0%" y="40.0%"' in html
    assert [tick for tick in plot.y.ticks if plot.is_reference(tick)] == [0.0, 0.8, 1.0]


def test_a_refused_circuit_cuts_the_line_and_is_named_beside_the_curve(
    record: CircuitRecord,
) -> None:
    plot = placed(record)
    magnitude = plot.lines[2]
    assert [len(path.split()) for path in magnitude.paths] == [2, 3]
    assert len(magnitude.dots) == 5
    text = words_of(render(record))
    assert "Not drawn, because refused: magnitude with 1,000 edges (1%)." in text
    assert f"{WITHIN}; about 400 pairs would settle it." in text
    assert "400 pairs would settle it" in " ".join(text_table(record).split())


def test_a_circuit_beyond_the_axis_has_an_arrow_and_its_number_and_the_line_leaves_the_plot(
    record: CircuitRecord,
) -> None:
    random = placed(record).lines[3]
    far = random.dots[3]
    assert (far.x, far.y, far.beyond, far.value) == (75.0, 100.0, "down", "−90%")
    # 0.4 below the foot of a plot of 1.75.
    assert "75,122.86" in random.paths[0].split()
    assert re.search(r'class="past"[^>]*>−90%</text>', render(record))
    twice = record.model_copy(update={"curves": (*record.curves, record.curves[3])})
    assert [line.dots[3].stack for line in placed(twice).lines[3:]] == [0, 1]


def test_the_knee_is_ringed_except_where_it_is_the_whole_model(record: CircuitRecord) -> None:
    rings = [[dot.knee for dot in line.dots] for line in placed(record).lines]
    assert rings[0] == ["", "", "value", "whole", "", ""]
    assert rings[2] == ["", "", "", "whole", ""]
    assert set(rings[3]) == {""}
    html = render(record)
    assert html.count('<circle class="knee whole"') == 3
    assert html.count('<circle class="knee value"') == 2
    assert "10,000 edges (10%)" in words_of(html)


def test_what_there_is_none_of_is_not_written_as_a_number(record: CircuitRecord) -> None:
    nothing = curve("eap", (0.0,) * 6, knee=None, knee_by_value=None, area=None, distance=None)
    alone = record.model_copy(update={"curves": (nothing,)})
    text, table = words_of(render(alone)), text_table(alone)
    for row in ("Area CPR –", "Distance from 100% CMD –", "interval none", "value alone none"):
        assert row in text
    for row in (r"area +–", r"distance +–", r"knee +none", r"by value +none"):
        assert re.search(row, table)


def test_names_beside_the_curves_are_apart_and_in_the_order_of_the_curves(
    record: CircuitRecord,
) -> None:
    labels = [line.label for line in placed(record).lines]
    # All end at 1, so the last size but one decides: 1.04, 0.97, 0.9, −0.4.
    assert labels == sorted(labels)
    assert all(b - a >= recovery.APART - 0.02 for a, b in pairwise(labels))
    low = tuple(curve(f"c{i}", (0, 0, 0, 0, 0, -0.2 - i / 100)) for i in range(12))
    lines = placed(record.model_copy(update={"curves": low})).lines
    crowded = [line.label for line in lines]
    assert min(crowded) >= 0 and max(crowded) <= 100 and crowded == sorted(crowded)
    assert len({(line.style, line.shape) for line in lines}) == 12


def test_edges_near_zero_are_said_to_be_so(record: CircuitRecord) -> None:
    # 0.21 is 1.5 standard errors of 0.14; 0.4021 is 2.7 of 0.15.
    assert [edge.name for edge in circuits.open_edges(record)] == ["m0->a5.h5<k>"]
    text = words_of(render(record))
    assert "1 of these 3 is within two standard errors of zero" in text
    assert "−1.23 ± 0.12" in text and "+0.40 ± 0.15" in text
    settled = record.model_copy(update={"top": record.top[:2]})
    assert "None of these is within two standard errors of zero" in words_of(render(settled))


def test_a_circuit_record_with_little_in_it_is_drawn_too(record: CircuitRecord) -> None:
    bare = record.model_copy(update={"curves": (), "top": (), "text_notes": ()})
    assert_harmless(render(bare))
    assert "64 pairs in 32 orbits" in text_table(bare)
    silent = record.model_copy(update={"curves": (curve("eap", (None,) * 6),)})
    assert recovery.plot(silent) is None
    assert "every number was refused" in words_of(render(silent))
    assert text_table(silent).count("refused [1]") == 6


@pytest.mark.parametrize("columns", [20, 72, 100, 120])
def test_no_circuit_is_cut_off_in_the_terminal(
    record: CircuitRecord, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    table = text_table(record)
    assert max(map(len, table.splitlines())) <= max(columns, 72) and "…" not in table
    for number in numbers(record):
        shown = fmt.show(number)
        for part in (shown.value, shown.interval):
            assert part.replace(fmt.MINUS, "-") in " ".join(table.split())
    assert table.index("eap-ig-inputs") < table.index("random")


def test_every_link_of_the_page_leads_somewhere_and_no_id_is_used_twice(
    record: CircuitRecord,
) -> None:
    tags = Elements(render(record)).tags
    ids = [a["id"] for _, a in tags if "id" in a]
    assert len(ids) == len(set(ids)) and "circuit-note-1" in ids
    for _, attributes in tags:
        for name in ("href", "aria-labelledby"):
            if name in attributes and attributes[name] != "data:,":
                assert str(attributes[name]).removeprefix("#") in ids


def test_a_circuit_record_is_read_back(record: CircuitRecord, tmp_path: Path) -> None:
    path = record.save(tmp_path / "circuit.json")
    assert load_record(path) == record
    assert render(load_record(path)) == render(record)
    assert record.report(tmp_path / "circuit.html").read_text(encoding="utf-8") == render(record)


@pytest.mark.parametrize("name", ["circuits", "recovery"])
def test_the_examples_in_the_docstrings_of_circuits_hold(name: str) -> None:
    module = importlib.import_module(f"unexplained.report.{name}")
    found = doctest.testmod(module)
    assert found.failed == 0 and found.attempted > 0
