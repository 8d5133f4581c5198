"""The curve of a circuit's sizes, by hand: margins in, shares, areas and knees out."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from unexplained.assays.circuit import FLOOR, Order, _Reading
from unexplained.ledger import SCHEMA, TOKEN_SCHEMA, Ledger
from unexplained.record import Curve
from unexplained.stats import Settings

ORBITS, EDGES = 6, 4


def ledger_of(**margins: float) -> Ledger:
    """Every orbit has two pairs with that margin each."""
    rows = [
        {"condition": name, "document": f"o{i}", "family": "all", "label": "all", "tokens": 2,
         "margin": 2 * margin, "preferred": 2}
        for name, margin in margins.items()
        for i in range(ORBITS)
    ]  # fmt: skip
    return Ledger(pa.Table.from_pylist(rows, schema=SCHEMA), TOKEN_SCHEMA.empty_table())


def curve_of(one: float, two: float, four: float = 4.0) -> Curve:
    order = Order("given", "", "attribution", (np.arange(EDGES),))
    names = {order.condition_name(0, count): f"c{count}" for count in (1, 2, 4)}
    ledger = ledger_of(intact=4.0, c1=one, c2=two, c4=four)
    reading = _Reading(ledger, ledger_of(intact=-4.0), names, Settings(resamples=200))
    return reading.curve(order, [1, 2, 4], EDGES)


def test_shares_areas_and_knees_by_hand() -> None:
    curve = curve_of(-2.0, 3.2)
    # (margin + 4) / 8 at a quarter, a half and all of the edges
    assert [p.kept.value for p in curve.points] == pytest.approx([0.25, 0.9, 1.0])
    assert [p.share for p in curve.points] == [0.25, 0.5, 1.0]
    # (0.25 + 0.9)/2 · 1/4 + (0.9 + 1)/2 · 1/2, and with 0.75, 0.1, 0 in their place
    assert curve.area == pytest.approx(0.14375 + 0.475)
    assert curve.distance == pytest.approx(0.10625 + 0.025)
    assert (curve.knee, curve.knee_by_value) == (2, 2)


def test_an_overshoot_counts_for_the_area_and_against_the_distance() -> None:
    curve = curve_of(-4.0, 8.0)  # nothing, half too much, all
    assert curve.points[1].kept.value == pytest.approx(1.5)
    assert curve.area == pytest.approx(0.75 * 0.25 + 1.25 * 0.5)
    assert curve.distance == pytest.approx((1 + 0.5) / 2 * 0.25 + 0.25 * 0.5)


def test_the_whole_model_is_no_knee_and_rounding_is_no_finding() -> None:
    curve = curve_of(-4.0 + FLOOR / 2, 2.0, 4.0 - FLOOR / 2)
    assert curve.points[0].kept.value == 0 and curve.points[2].kept.value == 1
    assert (curve.knee, curve.knee_by_value) == (None, None)


def test_the_mean_of_several_draws_is_that_of_their_margins() -> None:
    order = Order("random", "", "baseline", (np.arange(EDGES), np.arange(EDGES)[::-1]))
    names = {order.condition_name(draw, 2): f"d{draw}" for draw in (0, 1)}
    reading = _Reading(
        ledger_of(intact=4.0, d0=0.0, d1=2.0),
        ledger_of(intact=-4.0),
        names,
        Settings(resamples=200),
    )
    (point,) = reading.curve(order, [2], EDGES).points
    assert point.margin.value == 1.0 and point.kept.value == pytest.approx(5 / 8)


def test_every_arm_of_a_circuit_carries_a_tag_of_its_method() -> None:
    order = Order("random", "", "baseline", (np.arange(EDGES),))
    names = {order.condition_name(0, 2): "c2"}
    ledgers = ledger_of(intact=4.0, c2=0.0), ledger_of(intact=-4.0)
    reading = _Reading(*ledgers, names, Settings(resamples=200))
    assert reading.curve(order, [2], EDGES).tag == "black-box"
    assert curve_of(-2.0, 3.2).tag == "internals"
