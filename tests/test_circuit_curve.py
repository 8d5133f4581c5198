"""The curve of a circuit's sizes, by hand: logit differences in, shares, areas and knees out."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest

from unexplained.bars import areas, counts_of
from unexplained.bars.areas import SIZES
from unexplained.bars.by_size import answer, kept_section
from unexplained.bars.cards import Card
from unexplained.bars.kept import CORRUPTED, FLOOR, kept_by_size, knee
from unexplained.circuits.graph import Graph
from unexplained.circuits.orders import given_orders, without_thought
from unexplained.errors import MeasurementError
from unexplained.instruments.circuit import _verdict
from unexplained.ledger import SCHEMA, TOKEN_SCHEMA, Ledger
from unexplained.record import Number
from unexplained.record.bars import KeptCurve
from unexplained.stats import Settings

ORBITS, EDGES = 60, 4
"""So many orbits that agree may lack others, but 6% of them at most."""


def ledger_of(**logit_differences: float) -> Ledger:
    """Every orbit has two pairs with that logit difference each."""
    rows = [
        {"condition": name, "document": f"o{i}", "partition": "all", "label": "all", "tokens": 2,
         "logit_difference": 2 * logit_difference, "preferred": 2}
        for name, logit_difference in logit_differences.items()
        for i in range(ORBITS)
    ]  # fmt: skip
    return Ledger(pa.Table.from_pylist(rows, schema=SCHEMA), TOKEN_SCHEMA.empty_table())


def read_of(ledger: Ledger, *counts: int) -> KeptCurve:
    """The curve of circuits that are called `c1`, `c2`, … by their edges."""
    circuits = {count: [f"c{count}"] for count in counts}
    return kept_by_size(ledger, circuits, EDGES, keeps=0.8, settings=Settings(resamples=200))


def curve_of(one: float, two: float, four: float = 4.0) -> KeptCurve:
    logit_differences = {"intact": 4.0, CORRUPTED: -4.0, "c1": one, "c2": two, "c4": four}
    return read_of(ledger_of(**logit_differences), 1, 2, 4)


def test_shares_areas_and_knees_by_hand() -> None:
    curve = curve_of(-2.0, 3.2)
    # (logit difference + 4) / 8 at a quarter, a half and all of the edges
    assert [p.kept.value for p in curve.points] == pytest.approx([0.25, 0.9, 1.0])
    assert [p.share for p in curve.points] == [0.25, 0.5, 1.0]
    # MIB's sizes up to 20% of four edges are no edge and keep 0; a half and all are two and four.
    assert curve.area == pytest.approx(0.3 * 0.9 / 2 + 0.5 * (0.9 + 1) / 2)
    assert curve.distance == pytest.approx(0.199 + 0.3 * (1 + 0.1) / 2 + 0.5 * 0.1 / 2)
    assert (curve.knee, curve.knee_by_value) == (2, 2)


def test_an_overshoot_counts_for_the_area_and_against_the_distance() -> None:
    curve = curve_of(-4.0, 8.0)  # nothing, half too much, all
    assert curve.points[1].kept.value == pytest.approx(1.5)
    assert curve.area == pytest.approx(0.3 * 1.5 / 2 + 0.5 * (1.5 + 1) / 2)
    assert curve.distance == pytest.approx(0.199 + 0.3 * (1 + 0.5) / 2 + 0.5 * 0.5 / 2)


def test_the_whole_model_is_no_knee_and_rounding_is_no_finding() -> None:
    curve = curve_of(-4.0 + FLOOR / 2, 2.0, 4.0 - FLOOR / 2)
    assert curve.points[0].kept.value == 0 and curve.points[2].kept.value == 1
    assert (curve.knee, curve.knee_by_value) == (None, None)


def test_the_mean_of_several_draws_is_that_of_their_logit_differences() -> None:
    ledger = ledger_of(**{"intact": 4.0, CORRUPTED: -4.0, "d0": 0.0, "d1": 2.0})
    curve = kept_by_size(
        ledger, {2: ["d0", "d1"]}, EDGES, keeps=0.8, settings=Settings(resamples=200)
    )
    (point,) = curve.points
    assert point.logit_difference.value == 1.0 and point.kept.value == pytest.approx(5 / 8)


def test_every_order_of_edges_carries_a_tag_of_its_method() -> None:
    graph = Graph(2, 2, 8, parallel=False)
    scores = np.arange(graph.edges, dtype=float)
    orders = [
        *given_orders({"mine": scores}, graph, "absolute"),
        *without_thought(scores, graph, 2, 0),
    ]
    tags = {order.name: (order.method, order.role) for order in orders}
    assert tags == {"mine": ("internals", ""), "magnitude": ("internals", "baseline"),
                    "random": ("black-box", "baseline")}  # fmt: skip
    assert orders[2].names(3) == ["random, 3 edges, draw 1", "random, 3 edges, draw 2"]


# What `evaluate_area_under_curve` of MIB-circuit-track (b759df3, with the graph of EAP-IG 795f560)
# gives for graphs of these sizes whose circuits of k of n edges keep 1.3 √(k/n) − 0.3 k/n. Run with
# stand-ins for the model's logit differences, −4 corrupted and 4 clean; pruning takes no edge that does anything.
PUBLISHED = {
    (2, 2): (46, [2, 4, 9, 23, 46], 0.6980767916946495, 0.3009232083053505),
    (6, 4): (1108, [1, 2, 5, 11, 22, 55, 110, 221, 554, 1108],
             0.7062891417049202, 0.29271085829507987),
}  # fmt: skip


@pytest.mark.parametrize(("layers", "heads"), PUBLISHED)
def test_sizes_and_areas_are_those_of_mibs_published_code(layers: int, heads: int) -> None:
    edges, counts, area, distance = PUBLISHED[layers, heads]
    assert Graph(layers, heads, 8, parallel=False).edges == edges
    wanted = counts_of(SIZES, edges)
    # MIB measures a circuit without edges too, where one comes out; of ours the least has one.
    assert [c for c in wanted if c in counts] == counts and wanted[0] == 1
    kept = {k: Number(value=1.3 * math.sqrt(k / edges) - 0.3 * k / edges) for k in wanted}
    assert areas(kept, edges) == pytest.approx((area, distance), abs=1e-12)


def test_counts_are_rounded_down_and_the_first_point_counts() -> None:
    # 0.1% of 123,211 edges are 123, whose share is below 0.1%; half are 61,605.
    wanted = counts_of(SIZES, 123_211)
    assert wanted == [24, 61, 123, 246, 616, 1232, 2464, 6160, 12321, 24642, 61605, 123211]
    kept = {count: Number(value=0.0) for count in wanted[:-1]} | {123_211: Number(value=1.0)}
    assert areas(kept, 123_211) == pytest.approx((0.25, 0.749))
    one = areas(kept | {123: Number(value=1.0)}, 123_211)
    assert one == pytest.approx((0.25 + 0.0005, 0.749 - 0.0005))
    for gone in (123, 61605):
        assert areas({k: v for k, v in kept.items() if k != gone}, 123_211) == (None, None)
        assert areas(kept | {gone: Number(value=None, refused="no")}, 123_211) == (None, None)


def test_areas_of_no_edges_or_of_no_numbers_are_refused() -> None:
    kept = {count: Number(value=0.5) for count in (1, 2, 4)}
    with pytest.raises(MeasurementError, match="edges=0: the least is 1"):
        areas(kept, 0)
    for wrong in (math.nan, math.inf):
        with pytest.raises(MeasurementError, match="a size is a share"):
            counts_of([0.5, wrong], 4)
    with pytest.raises(MeasurementError, match="a size is a share"):
        counts_of([1.5], 4)


def test_a_knee_is_where_all_larger_circuits_keep_enough_too() -> None:
    assert knee([(1, 0.9), (2, 0.7), (4, 0.85), (8, 0.9), (16, 1.0)], 16, 0.8) == 4
    assert knee([(1, 0.9), (2, 0.9), (4, 0.79), (16, 1.0)], 16, 0.8) is None
    assert knee([(1, 0.9), (2, 0.8), (16, 1.0)], 16, 0.8) == 1
    assert knee([(1, 0.9), (2, None), (4, 0.9), (16, 1.0)], 16, 0.8) == 4
    assert knee([(1, 0.9), (2, 0.9), (4, None), (16, 1.0)], 16, 0.8) is None


def test_the_knee_is_the_intervals_and_not_the_values() -> None:
    # Half of the orbits keep 100% of one edge's logit difference and half 62.5%: 81%, not for certain above 80%.
    rows = [4.0, 1.0] * (ORBITS // 2)
    whole = ledger_of(**{"intact": 4.0, CORRUPTED: -4.0, "c1": 0.0, "c2": 3.9})
    table = whole.table.to_pylist()
    for row in table:
        if row["condition"] == "c1":
            row["logit_difference"] = 2 * rows[int(row["document"][1:])]
    ledger = Ledger(pa.Table.from_pylist(table, schema=SCHEMA), TOKEN_SCHEMA.empty_table())
    curve = read_of(ledger, 1, 2)
    assert curve.points[0].kept.low < 0.8 < curve.points[0].kept.value
    assert (curve.knee, curve.knee_by_value) == (2, 1)


def verdict_of(curve: KeptCurve) -> str:
    return _verdict([(Card(name="given", role=""), curve)], "ioi")


def test_a_knee_of_refused_sizes_cannot_be_told_and_is_not_none() -> None:
    curve = curve_of(-3.9, 0.0)
    assert curve.knee is None and [p.share < 1 for p in curve.points] == [True, True, False]
    no = Number(
        value=None, unit="share", refused="too few documents for an interval (4; it takes 5)"
    )
    largest = curve.points[1].model_copy(update={"kept": no})
    untold = curve.model_copy(update={"points": (curve.points[0], largest, curve.points[2])})
    for one, found, note in ((curve, "none", "80% at no size"),
                            (untold, "cannot be told", "80% from where on cannot be told")):  # fmt: skip
        curves = [(Card(name="given", role=""), one)]
        assert answer(curves, keeps=0.8, of="pairs").rows[0].note == note
        orders = next(
            b
            for b in kept_section(curves, 4, keeps=0.8).blocks
            if getattr(b, "key", "") == "orders"
        )
        assert found in orders.rows[0].cells


def test_the_verdict_names_the_intervals_knee_and_no_refused_number() -> None:
    curve = curve_of(3.2, 3.3)
    assert "by given it has 1 edge (90% [" in verdict_of(curve)
    values = curve.model_copy(update={"knee": None, "knee_by_value": 1})
    assert "by given none short of the whole model does" in verdict_of(values)
    no = Number(value=None, unit="share", refused="within noise of zero")
    points = tuple(p.model_copy(update={"kept": no}) for p in curve.points)
    said = verdict_of(curve.model_copy(update={"points": points}))
    assert said == "What circuits keep of ioi is refused: within noise of zero."
