"""Curves: published numbers typed from their sources, second slow routes, planted curves."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares

from unexplained.curves import (
    BASELINES,
    CEREBRAS_POINTS,
    CURVES,
    PF_DAY,
    SURFACES,
    Baseline,
    Curve,
    TrainedPoint,
    bits_per_byte,
    compute_left,
    compute_of,
    fit_curve,
    fraction_needed,
    leave_one_out,
    loss_at,
    published,
    share,
    table,
)
from unexplained.curves.solve import solve
from unexplained.errors import CurveError
from unexplained.record import Number
from unexplained.stats import NATS, Settings

FAST = Settings(resamples=400)
HAND = Curve("hand", 1.0, 10.0, 0.5, fitted=(1.0, 1e4))
"""1 + 10 / sqrt(C): losses 11 at 1, 2 at 100, 1.1 at 10,000."""


def nats(value, low=None, high=None):
    return Number(value=value, low=low, high=high, unit=NATS)


def on(curve, compute, noise=0.0, seed=0):
    """Points on a curve, one per rung, with noise of the log loss."""
    normal = np.random.default_rng(seed).standard_normal(len(compute))
    return [
        TrainedPoint(float(c), curve.loss(float(c)) * math.exp(noise * z), f"r{at}")
        for at, (c, z) in enumerate(zip(compute, normal, strict=True))
    ]


# The law, the surface, and units.


def test_the_cerebras_law_fits_its_own_seven_losses_within_one_per_cent():
    law = CURVES["cerebras"]
    assert len(CEREBRAS_POINTS) == 7
    for point in CEREBRAS_POINTS:
        assert abs(law.loss(point.compute) / point.loss - 1) < 0.01
    # What reference_numbers.md §3 computed from the law.
    computed = [2.603, 2.369, 2.168, 1.992, 1.849, 1.687, 1.580]
    assert [round(law.loss(p.compute), 3) for p in CEREBRAS_POINTS] == computed


def test_kaplans_law_is_one_nat_at_its_constant_and_falls_by_its_power():
    assert PF_DAY == 1e15 * 24 * 60 * 60
    law = CURVES["kaplan"]
    assert law.loss(3.1e8 * PF_DAY) == pytest.approx(1, abs=1e-12)
    assert law.loss(3.1e8 * PF_DAY / 2**20) == pytest.approx(2, abs=1e-12)  # 2^(20 · 0.05)


@given(
    floor=st.floats(0, 3), above=st.floats(1e-3, 5), power=st.floats(0.03, 0.5),
    compute=st.floats(1e12, 1e26),
)  # fmt: skip
def test_compute_undoes_loss(floor, above, power, compute):
    curve = Curve("any", floor, above * compute**power, power)
    # An error of the loss of 1 ulp is one of (L / (L − E)) / α ulp in the compute.
    slack = 1e-14 * (floor + above) / above / power
    assert curve.compute(curve.loss(compute)) == pytest.approx(compute, rel=slack + 1e-12)


@pytest.mark.parametrize("name", CURVES)
def test_the_inverse_agrees_with_bisection(name):
    law = CURVES[name]
    for loss in (2.1, 2.5, 4.0):
        assert law.compute(loss) == pytest.approx(bisected(law, loss), rel=1e-9)


def bisected(law, loss):
    """The compute of a loss, from nothing but that losses fall."""
    low, high = -50.0, 90.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if law.loss(math.exp(middle)) > loss else (low, middle)
    return math.exp(low)


@pytest.mark.parametrize("name", CURVES)
def test_the_slope_is_that_of_a_finite_difference(name):
    law, step = CURVES[name], 1e-5
    rise = law.loss(1e20 * math.exp(step)) - law.loss(1e20 * math.exp(-step))
    assert law.slope(1e20) == pytest.approx(rise / (2 * step), rel=1e-6)


def test_cerebras_log_slopes_are_those_of_the_reference():
    # reference_numbers.md §3: dlnC/dL; its "2e25" is the 2.1e25 of GPT-4 (at 2e25 it is −20.8).
    for compute, inverse in ((2.6e18, -6.5), (1e20, -8.5), (1e22, -11.9), (2.1e25, -20.9)):
        assert round(1 / CURVES["cerebras"].slope(compute), 1) == inverse


@pytest.mark.parametrize("surface", SURFACES.values(), ids=lambda s: s.name)
def test_the_frontier_is_the_least_loss_over_sizes_at_each_compute(surface):
    for compute in (1e18, 1e21, 1e25):
        size, data = surface.optimal(compute)
        assert 6 * size * data == pytest.approx(compute, rel=1e-12)
        sizes = size * np.exp(np.linspace(-3, 3, 60_001))
        losses = (
            surface.floor
            + surface.size_scale / sizes**surface.size_exponent
            + surface.data_scale / (compute / (6 * sizes)) ** surface.data_exponent
        )
        assert sizes[losses.argmin()] == pytest.approx(size, rel=2e-4)  # the grid's step is 1e-4
        assert surface.frontier().loss(compute) == pytest.approx(losses.min(), rel=1e-9)
        assert surface.loss(size, data) == pytest.approx(losses.min(), rel=1e-9)


def test_data_at_a_fixed_size_undo_the_loss_and_have_an_end():
    surface = SURFACES["hoffmann"]
    assert surface.data_for(7e10, surface.loss(7e10, 1.4e12)) == pytest.approx(1.4e12, rel=1e-9)
    least = 1.69 + 406.4 / 7e10**0.34
    with pytest.raises(CurveError, match="no data take that size"):
        surface.data_for(7e10, least)


def test_bits_per_byte_turns_pythias_nats_into_the_tables():
    losses = (2.888, 2.512, 2.164, 2.044, 1.960, 1.871, 1.777, 1.741)
    printed = (1.054, 0.917, 0.790, 0.746, 0.715, 0.683, 0.649, 0.636)
    per_token = 1 / (math.log(2) * 0.3650388)
    assert tuple(round(bits_per_byte(loss, per_token), 3) for loss in losses) == printed
    with pytest.raises(CurveError, match="bytes per token 0"):
        bits_per_byte(2.0, 0)
    with pytest.raises(CurveError, match="the loss is nan"):
        bits_per_byte(math.nan, 4.0)


@pytest.mark.parametrize(
    "changes",
    [{"floor": -0.1}, {"scale": 0.0}, {"exponent": 0.0}, {"floor": math.nan}, {"fitted": (0, 1)},
     {"spread": -0.1}],
)  # fmt: skip
def test_a_curve_that_is_none_is_refused(changes):
    with pytest.raises(CurveError):
        replace(HAND, **changes)
    with pytest.raises(CurveError):
        replace(SURFACES["hoffmann"], data_scale=-1.0)


def test_a_compute_or_loss_without_meaning_is_refused():
    for bad in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(CurveError, match="not positive and finite"):
            HAND.loss(bad)
    with pytest.raises(CurveError, match="floor of 1"):
        HAND.compute(1.0)
    with pytest.raises(CurveError, match="not finite"):
        HAND.compute(math.inf)
    with pytest.raises(CurveError, match="Did you mean kaplan"):
        published("kaplen")


# The calculator: reference_numbers.md §4, cells as printed there.

NEEDED = {
    "kaplan": (".158", ".983", ".975", ".961"),
    "cerebras": (".109", ".989", ".983", ".975"),
    "hoffmann": (".053", ".994", ".991", ".986"),
    "besiroglu": (".038", ".996", ".994", ".990"),
}
LEFT = {
    0.999: (".92", ".87", ".77", ".69"),
    0.99: (".43", ".27", ".10", ".052"),
    0.98: (".19", ".084", ".019", ".0075"),
    0.95: (".019", "4e-3", "6e-4", "2e-4"),
    0.90: ("7e-4", "8e-5", "2e-5", "9e-6"),
    0.80: ("4e-6", "3e-7", "5e-7", "3e-7"),
}
MISPRINTS = {("besiroglu", "unigram"): ".993", ("hoffmann", 0.999): ".76"}
"""Two cells of that file are one off in the last digit by its own parameters: 0.99348 and 0.7646,
by our formula and by bisection."""
THREE = tuple(BASELINES[name] for name in ("uniform", "unigram", "bigram"))


def as_printed(value, cell):
    """A value rounded as a cell is."""
    if "e" in cell:
        return f"{value:.0e}".replace("e-0", "e-")
    return f"{value:.{len(cell) - 1}f}".lstrip("0")


def test_every_cell_of_both_published_tables_is_reproduced():
    rows = {(row.curve, row.baseline): row for row in table(list(CURVES.values()), THREE)}
    assert len(rows) == 12
    for at, (curve, (apart, *needed)) in enumerate(NEEDED.items()):
        assert as_printed(rows[curve, "unigram"].apart.value, apart) == apart
        for baseline, cell in zip(THREE, needed, strict=True):
            cell = MISPRINTS.get((curve, baseline.name), cell)
            assert as_printed(rows[curve, baseline.name].needed.value, cell) == cell
        for fraction, cells in LEFT.items():
            cell = MISPRINTS.get((curve, fraction), cells[at])
            assert as_printed(rows[curve, "unigram"].left[fraction].value, cell) == cell


@pytest.mark.parametrize("name", CURVES)
def test_the_calculator_agrees_with_bisection_both_ways(name):
    law, base = CURVES[name], BASELINES["unigram"]
    for fraction in LEFT:
        loss = base.loss - fraction * (base.loss - law.loss(2.1e25))
        left = compute_left(law, base, fraction).value
        assert left == pytest.approx(bisected(law, loss) / 2.1e25, rel=1e-9)
    # Explaining exactly f* leaves exactly the weaker model.
    needed = fraction_needed(law, base).value
    assert compute_left(law, base, needed).value == pytest.approx(2.578e24 / 2.1e25, rel=1e-9)
    assert compute_left(law, base, 1.0).value == pytest.approx(1, rel=1e-9)


def test_a_baseline_no_worse_than_the_weaker_model_is_refused_by_name():
    law = CURVES["cerebras"]  # 1.264 at the weaker model, 1.156 at the stronger
    between, below = Baseline("between", 1.2), Baseline("below", 1.1)
    refused = fraction_needed(law, between)
    assert refused.value is None
    assert refused.refused == (
        "the baseline 'between' of 1.2 nats per token is not above the weaker model's 1.264 "
        "on 'cerebras'"
    )
    assert compute_left(law, between, 0.5).value is not None
    assert "the stronger model's 1.156" in compute_left(law, below, 0.5).refused
    assert "at or below the floor" in compute_left(law, between, 20.0).refused


def test_questions_without_meaning_are_refused_by_the_calculator():
    law, base = CURVES["cerebras"], BASELINES["unigram"]
    with pytest.raises(CurveError, match="the weaker model has"):
        fraction_needed(law, base, strong=1e24, weak=1e24)
    with pytest.raises(CurveError, match="bits per byte"):
        fraction_needed(law, Baseline("bytes", 2.9, unit="bits per byte"))
    with pytest.raises(CurveError, match="not above 0"):
        compute_left(law, base, 0.0)


def test_the_table_says_what_is_extrapolated_and_what_has_no_error():
    (cerebras,) = table([CURVES["cerebras"]], [BASELINES["unigram"]])
    assert cerebras.extrapolated
    assert "2.1 × 10²⁵ FLOPs are 913 times above the curve's range" in cerebras.note
    assert "own error is not in this interval" in cerebras.note
    assert cerebras.needed.low is None
    (kaplan,) = table([replace(CURVES["kaplan"], fitted=None)], [BASELINES["unigram"]])
    assert "range that the curve was fitted on is not known" in kaplan.note
    (near,) = table([CURVES["cerebras"]], [BASELINES["unigram"]], strong=1e22, weak=1e21)
    assert not near.extrapolated and "times" not in near.note


def test_a_fitted_curve_gives_the_table_intervals():
    fitted = fit_curve(CEREBRAS_POINTS, FAST)
    (row,) = table([fitted], [BASELINES["unigram"]], strong=1e22, weak=1e21)
    for number in (row.apart, row.needed, row.left[0.98]):
        assert number.low < number.value < number.high
    # The published law is inside: its own points made both.
    (law,) = table([CURVES["cerebras"]], [BASELINES["unigram"]], strong=1e22, weak=1e21)
    assert row.needed.low < law.needed.value < row.needed.high


# Fitting.


def multi_start(losses, compute):
    """The least sum of squares that scipy finds from 15 starting points."""
    logs = np.log(compute) - np.log(compute).mean()
    found = []
    for alpha in (0.02, 0.05, 0.1, 0.3, 1.0):
        for share_of_floor in (0.05, 0.5, 0.9):
            floor = share_of_floor * losses.min()
            start = [floor, math.log((losses - floor).mean()), alpha]

            def left(p):
                return np.log(losses) - np.log(p[0] + np.exp(p[1] - p[2] * logs))

            bounds = ([0, -50, 1e-3], [np.inf, 50, 2])
            tight = {"xtol": 1e-14, "ftol": 1e-14, "gtol": 1e-14, "max_nfev": 1000}
            found.append(2 * least_squares(left, start, bounds=bounds, **tight).cost)
    return min(found)


def test_the_solver_is_never_worse_than_scipy_from_many_starting_points():
    compute = np.geomspace(1e16, 1e19, 6)
    rng = np.random.default_rng(0)
    curves = (CURVES["cerebras"], CURVES["kaplan"], Curve("bent", 2.0, 1.5 * 1e16**0.35, 0.35))
    for curve in curves:
        true = np.array([curve.loss(c) for c in compute])
        losses = true * np.exp(0.01 * rng.standard_normal((3, 6)))
        errors = solve(np.log(losses), np.log(compute), np.ones(6)).error
        for one, error in zip(losses, errors, strict=True):
            assert error <= multi_start(one, compute) * (1 + 1e-6)


def test_the_solver_reports_the_error_of_the_curve_that_it_gives():
    compute = np.geomspace(1e16, 1e19, 5)
    losses = np.array(
        [[4.0, 3.5, 3.2, 3.0, 2.9], [4.0, 3.6, 3.1, 2.6, 2.1], [3.0, 3.0, 3.0, 3.1, 3.0]]
    )
    weights = np.array([3.0, 1, 1, 1, 2])
    found = solve(np.log(losses), np.log(compute), weights)
    fitted = found.floor[:, None] + np.exp(
        found.log_scale[:, None] - found.alpha[:, None] * np.log(compute)
    )
    errors = (weights * (np.log(losses) - np.log(fitted)) ** 2).sum(axis=1)
    assert found.error == pytest.approx(errors, rel=1e-6)
    # The second bends the other way: no floor. The third does not fall: all but flat.
    assert found.floor[1] == 0
    assert np.ptp(fitted[2]) < 1e-3


@settings(max_examples=20, deadline=None)
@given(
    floor=st.floats(0.2, 3), drop=st.floats(0.5, 3), power=st.floats(0.05, 0.6),
    rungs=st.integers(4, 8),
)  # fmt: skip
def test_points_on_a_curve_give_that_curve_back(floor, drop, power, rungs):
    truth = Curve("planted", floor, drop * 1e16**power, power)
    fitted = fit_curve(on(truth, np.geomspace(1e16, 1e19, rungs)), Settings(resamples=40))
    for compute in (3e16, 1e18, 5e18):
        assert fitted.curve.loss(compute) == pytest.approx(truth.loss(compute), rel=1e-6)
    assert fitted.law.curve.exponent == pytest.approx(power, rel=1e-2)
    assert fitted.law.noise < 1e-6 and fitted.law.misfit < 1e-6
    assert fitted.curve.fitted == pytest.approx((1e16, 1e19))


def test_cerebras_points_give_the_published_law_within_the_intervals():
    every = fit_curve(CEREBRAS_POINTS, Settings())
    assert every.form == "law" and every.run_to_run is None
    fitted = every.law
    low, high = np.quantile(fitted.draws.table, [0.025, 0.975], axis=0)
    assert low[2] < 0.0737 < high[2] and abs(fitted.curve.exponent - 0.0737) < 0.01
    assert low[0] <= 0.5066 <= high[0]
    # The paper has 0.66% around its fit: a mean over seven where ours counts four to spare.
    assert fitted.misfit == pytest.approx(0.0066 * math.sqrt(7 / 4), rel=0.03)
    assert fitted.freedom == 4 and fitted.pooled


def test_seeds_and_residuals_are_pooled_as_by_hand():
    # Two seeds at exp(±0.004) around the curve on three of five rungs: the means are on it.
    compute = np.geomspace(1e16, 1e19, 5)
    points = []
    for at, one in enumerate(on(CURVES["cerebras"], compute)):
        offs = (0.004, -0.004) if at < 3 else (0.0,)
        points += [replace(one, loss=one.loss * math.exp(o), seed=s) for s, o in enumerate(offs)]
    every = fit_curve(points, FAST)
    within = 3 * 2 * 0.004**2
    assert every.run_to_run == pytest.approx(math.sqrt(within / 3), rel=1e-9)
    fitted = every.law
    assert fitted.freedom == 2 + 3 and fitted.pooled
    assert fitted.noise == pytest.approx(math.sqrt(within / 5), rel=1e-6)
    # The draws take σ² = squares / χ²(5): mean 5, give or take sqrt(10 / 400), and variance 10.
    drawn = within / fitted.noise_draws**2
    assert drawn.mean() == pytest.approx(5, abs=3 * math.sqrt(10 / 400))
    assert drawn.var() == pytest.approx(10, rel=0.5)


def test_the_mean_of_nine_seeds_scatters_by_a_third_of_one():
    compute = np.geomspace(1e16, 1e19, 5)
    points = [
        replace(one, loss=one.loss * math.exp(0.004 * seed), seed=seed)
        for one in on(CURVES["cerebras"], compute)
        for seed in range(-4, 5)
    ]
    fitted = fit_curve(points, FAST).law
    assert fitted.pooled and fitted.freedom == 2 + 5 * 8
    floor, scale, alpha = fitted.draws.table.T
    middle = np.log(floor + scale * compute[2] ** -alpha)
    # A fitted value scatters less than the mean that was observed there: leverage is below 1.
    assert 0.3 * fitted.noise / 3 < middle.std() < 1.05 * fitted.noise / 3


def test_rungs_further_off_the_curve_than_their_seeds_are_not_pooled():
    compute = np.geomspace(1e16, 1e19, 6)
    points = []
    for one in on(CURVES["cerebras"], compute, noise=0.01):
        points += [
            replace(one, loss=one.loss * (1 + o), seed=s) for s, o in ((0, 1e-5), (1, -1e-5))
        ]
    every = fit_curve(points, FAST)
    fitted = every.law
    assert not fitted.pooled and fitted.freedom == 3
    assert fitted.noise == pytest.approx(fitted.misfit, rel=1e-9)
    assert every.run_to_run == pytest.approx(1e-5 * math.sqrt(2), rel=1e-3)


def test_three_rungs_have_a_curve_and_an_interval_only_from_seeds():
    points = on(CURVES["hoffmann"], (1e17, 1e18, 1e19))
    bare = fit_curve(points, FAST)
    assert bare.draws.count == 0 and bare.noise is None and bare.law.misfit is None
    assert list(bare.forms) == ["law"] and bare.law.left_out is None and bare.bending is None
    predicted = loss_at(bare, 3e17)
    assert predicted.loss.value == pytest.approx(CURVES["hoffmann"].loss(3e17), rel=1e-6)
    assert predicted.loss.low is None and "own error" in predicted.note
    seeded = fit_curve([*points, replace(points[0], loss=points[0].loss * 1.003, seed=1)], FAST)
    assert seeded.law.freedom == 1
    assert loss_at(seeded, 3e17).loss.low < loss_at(seeded, 3e17).loss.high


def test_what_is_no_ladder_is_refused_by_name():
    good = on(CURVES["hoffmann"], (1e17, 1e18, 1e19, 1e20))

    def refused(points, match):
        with pytest.raises(CurveError, match=match):
            fit_curve(points, FAST)

    refused([], "that is 0 of at least 3")
    refused(good[:2], "that is 2 of at least 3")
    refused([good[0], *(replace(good[1], seed=s) for s in range(4))], "that is 2 of at least 3")
    higher = replace(good[2], loss=good[1].loss + 0.01)
    refused([good[0], good[3], higher, good[1]], "does not fall from rung 'r1' .* to 'r2'")
    for bad in (math.nan, math.inf, 0.0, -2.0):
        refused([*good[:3], replace(good[3], loss=bad)], "the loss of rung 'r3', seed 0, is")
        refused([*good[:3], replace(good[3], compute=bad)], "the compute of rung 'r3'")
    refused(
        [*good[:3], replace(good[3], unit="bits per byte")], "units differ: bits per byte, nats"
    )
    refused([*good, replace(good[3], compute=2e20, seed=1)], "'r3' has several computes")
    refused([*good, good[3]], "'r3' has a seed twice")
    refused([*good, replace(good[3], rung="other")], "have the same compute")


def test_a_fit_repeats_bit_for_bit_and_leaves_its_points_alone():
    points = on(CURVES["hoffmann"], np.geomspace(1e17, 1e20, 5), noise=0.005)
    first, again = fit_curve(points, FAST), fit_curve(points[::-1], FAST)
    assert first.curve == again.curve
    assert np.array_equal(first.draws.losses(1e18), again.draws.losses(1e18))
    other = fit_curve(points, replace(FAST, seed=1))
    assert other.curve == first.curve
    assert not np.array_equal(first.draws.losses(1e18), other.draws.losses(1e18))
    for form in first.forms.values():
        with pytest.raises(ValueError):
            form.draws.table[0, 0] = 1.0


def test_intervals_hold_the_planted_truth_about_as_often_as_they_say():
    # benchmarks/curve_coverage.py does this at length; here 60 times three places.
    truth, compute = CURVES["cerebras"], np.geomspace(1e16, 1e18, 5)
    places = (2.5e16, 1e17, 5e17)
    held = {"loss": [], "compute": []}
    for seed in range(60):
        points = on(truth, compute, noise=0.003, seed=seed)
        fitted = fit_curve(points, Settings(resamples=200, seed=seed))
        for place in places:
            loss = truth.loss(place)
            predicted = loss_at(fitted, place).loss
            held["loss"].append(predicted.low <= loss <= predicted.high)
            back = compute_of(fitted, nats(loss), extrapolate=True).compute
            held["compute"].append(back.low <= place <= (back.high or math.inf))
    for hits in held.values():
        assert 0.90 <= np.mean(hits) <= 0.99


# Placing.


def test_a_loss_without_interval_on_a_published_curve_is_its_inverse():
    placed = compute_of(HAND, nats(2.0))
    assert placed.compute.value == pytest.approx(100, rel=1e-12)
    assert (placed.compute.low, placed.compute.high, placed.compute.unit) == (None, None, "FLOPs")
    assert not placed.extrapolated and "curve's own error" in placed.note


def test_an_interval_of_losses_becomes_that_of_their_computes():
    # Monotone: the ends are the computes of the ends, (10/1.2)² = 69.4 and (10/0.5)² = 400; the
    # Number is lopsided, which one normal would not be.
    placed = compute_of(HAND, nats(2.0, 1.5, 2.2), settings=Settings(resamples=20_000)).compute
    assert placed.low == pytest.approx(69.4, rel=0.02)
    assert placed.high == pytest.approx(400, rel=0.06)


def test_the_curves_own_draws_widen_a_placed_loss():
    # Both errors of about the same size, so that their sum is plainly longer than either.
    truth = CURVES["hoffmann"]
    fitted = fit_curve(on(truth, np.geomspace(1e17, 1e20, 6), noise=0.01), Settings())
    loss = truth.loss(2e18)
    curve_alone = loss_at(fitted, 2e18).loss
    half = (curve_alone.high - curve_alone.low) / 2
    wide = nats(loss, loss - half, loss + half)
    lengths = [
        math.log(placed.compute.high / placed.compute.low)
        for placed in (
            compute_of(fitted, wide),
            compute_of(fitted, nats(loss)),
            compute_of(fitted.curve, wide),
        )
    ]
    assert lengths[0] > 1.2 * max(lengths[1:])


def test_a_loss_at_the_floor_is_refused_and_one_near_it_has_no_upper_end():
    at_floor = compute_of(HAND, nats(1.0), extrapolate=True)
    assert at_floor.compute.refused == (
        "a loss of 1 is at or below the curve's floor of 1 nats per token: no compute buys it"
    )
    near = compute_of(HAND, nats(1.2, 0.9, 1.5))
    assert near.compute.value == pytest.approx(2500)
    assert near.compute.low == pytest.approx(400, rel=0.2) and near.compute.high is None
    assert "no upper end" in near.note


def test_beyond_the_range_is_refused_unless_asked_for_and_then_marked():
    for loss, said in ((12.0, "times below"), (1.05, "times above")):
        refused = compute_of(HAND, nats(loss))
        assert refused.compute.value is None and refused.extrapolated
        assert said in refused.compute.refused
        placed = compute_of(HAND, nats(loss), extrapolate=True)
        assert placed.compute.value == pytest.approx((10 / (loss - 1)) ** 2)
        assert placed.extrapolated and placed.note.startswith("extrapolated: ")
    assert loss_at(HAND, 1e5).loss.refused.startswith(
        "extrapolated: 1.0 × 10⁵ FLOPs are 10 times above"
    )
    assert loss_at(HAND, 1e5, extrapolate=True).loss.value == pytest.approx(1 + 10**-1.5)
    assert not loss_at(HAND, 1e4).extrapolated


def test_a_lucky_last_rung_is_inside_its_curves_range():
    # 1.1 at the end of the range; 0.9% below it with a spread of 0.5%.
    lucky = nats(1.1 * 0.991)
    assert compute_of(HAND, lucky).extrapolated
    assert not compute_of(replace(HAND, spread=0.005), lucky).extrapolated
    assert compute_of(replace(HAND, spread=0.004), lucky).extrapolated


def test_a_loss_a_little_beyond_the_rungs_is_placed_and_marked():
    """Less far than single runs scatter: it has a compute, and its note says that it lies beyond."""
    near = compute_of(replace(HAND, spread=0.005), nats(HAND.loss(1.1e4)))
    assert not near.extrapolated and near.compute.value == pytest.approx(1.1e4)
    assert near.note.startswith(
        "extrapolated by less than single runs scatter: 1.1 × 10⁴ FLOPs are 1.1"
    )
    assert "beyond" not in compute_of(HAND, nats(HAND.loss(1e4))).note
    assert "extrapolated" not in compute_of(HAND, nats(HAND.loss(1e4))).note


def test_units_refusals_and_bad_draws_are_not_mixed_up():
    with pytest.raises(CurveError, match="bits per byte"):
        compute_of(HAND, Number(value=0.7, unit="bits per byte"))
    gone = compute_of(HAND, Number(value=None, unit=NATS, refused="there are no tokens here"))
    assert gone.compute.refused == "there are no tokens here"
    with pytest.raises(CurveError, match="not finite"):
        compute_of(HAND, nats(2.0), draws=np.array([2.0, math.nan]))


def test_pythias_losses_are_worth_what_the_reference_says():
    # reference_numbers.md §3: 5e18 of 1.6e20 spent (3%); 12B 93%.
    law = CURVES["cerebras"]
    small = compute_of(law, nats(2.504)).compute.value
    assert f"{small:.0e}" == "5e+18" and round(small / 1.6e20, 2) == 0.03
    assert round(compute_of(law, nats(1.582)).compute.value / 2.4e22, 2) == 0.93


def test_frontier_ratios_of_pythias_dictionaries_are_those_of_the_reference():
    # reference_numbers.md §5: base 2.504; attention 1, MLP 2, embedding, residual 2 and 3.
    for more, printed in ((0.03, 0.82), (0.11, 0.48), (0.17, 0.33), (0.55, 0.037), (0.58, 0.031)):
        found = share(CURVES["cerebras"], nats(2.504 + more), nats(2.504), extrapolate=True)
        assert round(found.share.value, 2 if printed > 0.1 else 3) == printed


def test_a_share_of_the_same_losses_is_exactly_one():
    fitted = fit_curve(on(CURVES["hoffmann"], np.geomspace(1e17, 1e20, 5), noise=0.005), FAST)
    losses = 2.8 + 0.01 * np.random.default_rng(0).standard_normal(1000)
    found = share(fitted, nats(2.8), nats(2.8), draws=(losses, losses)).share
    assert (found.value, found.low, found.high, found.unit) == (1.0, 1.0, 1.0, "share")


def test_pairing_documents_and_curves_makes_a_share_shorter():
    fitted = fit_curve(on(CURVES["hoffmann"], np.geomspace(1e17, 1e20, 6), noise=0.003), FAST)
    shared = 0.02 * np.random.default_rng(0).standard_normal(400)
    worse, model = nats(2.9, 2.861, 2.939), nats(2.7, 2.661, 2.739)
    paired = share(fitted, worse, model, draws=(2.9 + shared, 2.7 + shared)).share
    apart = share(fitted, worse, model).share
    assert paired.value == apart.value
    assert paired.high / paired.low < 0.7 * apart.high / apart.low
    # The value is that of the curve; the ratio has no A in it.
    e, a = fitted.curve.floor, fitted.curve.exponent
    assert paired.value == pytest.approx(((2.7 - e) / (2.9 - e)) ** (1 / a), rel=1e-9)


def test_a_share_is_refused_where_one_of_its_losses_cannot_be_placed():
    low = share(HAND, nats(2.0), nats(0.9))
    assert low.share.refused.startswith(
        "the model loss has no compute: a loss of 0.9 is at or below"
    )
    out = share(HAND, nats(12.0), nats(2.0))
    assert "the explained loss has no compute: extrapolated" in out.share.refused
    assert share(HAND, nats(12.0), nats(2.0), extrapolate=True).extrapolated
    with pytest.raises(CurveError, match="draws of one"):
        share(HAND, nats(2.0), nats(1.5), draws=(np.ones(3) * 2, np.ones(4) * 1.5))


def test_draws_with_both_losses_at_the_floor_count_against_both_ends():
    # 10% of the draws say nothing, so neither end may rest on the others alone.
    explained, model = np.full(100, 2.0), np.full(100, 1.5)
    explained[:10], model[:10] = 0.9, 0.8
    found = share(HAND, nats(2.0), nats(1.5), draws=(explained, model)).share
    assert found.value == pytest.approx(0.25)  # ((1.5 − 1)/(2 − 1))²
    assert found.low == 0 and found.high is None


# Leaving a rung out.


def test_rungs_of_an_exact_curve_are_foretold_and_ends_are_marked():
    truth = CURVES["cerebras"]
    found = leave_one_out(on(truth, np.geomspace(1e18, 1e21, 6)), FAST)
    assert [one.rung for one in found] == ["r0", "r1", "r2", "r3", "r4", "r5"]
    assert [one.extrapolated for one in found] == [True, False, False, False, False, True]
    for one in found:
        assert one.predicted.value == pytest.approx(one.loss, rel=1e-5)
        assert one.placed.compute.value == pytest.approx(one.compute, rel=1e-3)
    assert found[0].placed.extrapolated and found[5].placed.extrapolated
    assert not found[2].placed.extrapolated


def test_intervals_of_left_out_rungs_hold_them_under_noise_and_catch_a_bad_one():
    truth, compute = CURVES["cerebras"], np.geomspace(1e18, 1e21, 7)
    inner = [
        one
        for seed in range(5)
        for one in leave_one_out(on(truth, compute, noise=0.003, seed=seed), FAST)
        if not one.extrapolated
    ]
    # 25 at 95%: fewer than 20 held has a chance of 0.1% if they were independent.
    assert sum(one.covered for one in inner) >= 20
    assert sum(one.compute_covered for one in inner) >= 20
    exact = on(truth, compute, noise=1e-4, seed=3)
    exact[3] = replace(exact[3], loss=exact[3].loss * 1.01)
    bad = leave_one_out(exact, FAST)[3]
    assert not bad.covered and not bad.compute_covered
    # 1% of loss is 1% · L / (α (L − E)) of compute, at 10^19.5.
    loss = truth.loss(float(compute[3]))
    worth = math.exp(-0.01 * loss / (0.0737 * (loss - 0.5066)))
    assert bad.placed.compute.value / bad.compute == pytest.approx(worth, rel=0.05)


def test_a_left_out_rung_of_many_seeds_is_foretold_more_closely():
    truth, compute = CURVES["cerebras"], np.geomspace(1e18, 1e21, 6)
    points = on(truth, compute, noise=0.004, seed=1)
    rng = np.random.default_rng(5)
    many = [p for p in points if p.rung != "r3"] + [
        TrainedPoint(
            points[3].compute, truth.loss(points[3].compute) * math.exp(0.004 * z), "r3", seed
        )
        for seed, z in enumerate(rng.standard_normal(16))
    ]
    one, sixteen = (leave_one_out(these, FAST)[3].predicted for these in (points, many))
    assert sixteen.high - sixteen.low < one.high - one.low


def test_a_left_out_rung_of_four_has_no_interval_and_of_three_is_refused():
    points = on(CURVES["cerebras"], np.geomspace(1e18, 1e21, 4))
    for one in leave_one_out(points, FAST):
        assert one.predicted.low is None and one.covered is None and one.compute_covered is None
    with pytest.raises(CurveError, match="Train one more"):
        leave_one_out(points[:3], FAST)
