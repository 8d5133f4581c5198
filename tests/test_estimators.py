"""A cheap approximation as control variate: unbiased by enumeration, covering by simulation."""

import math
from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
import scipy.stats

from unexplained.errors import MeasurementError
from unexplained.estimators import at_random, control, p_values, with_control
from unexplained.stats import Settings, mean_per_token

PLAIN = Settings()
QUICK = Settings(resamples=40)
EVEN = np.full(9, 10)
EXACT = np.array([3.0, -1, 4, 1, -5, 9, 2, 6, 5])
WRONG = np.array([7.0, 0, 30, -4, 2, 11, 8, 1, 40])
"""Biased, hardly correlated with EXACT, and with two documents of far greater spread."""


def test_a_controlled_mean_by_hand():
    # Documents 0, 1, 3 of four. X/T = 9/6; A_all/T_all = 20/10, A/T = 12/6: nothing to correct.
    # With a₃ = 2 instead of 1, A/T = 13/6 and A_all/T_all = 21/10: 1.5 + 3 · (2.1 − 2.1667) = 1.3.
    tokens, chosen = np.array([1, 2, 4, 3]), np.array([0, 1, 3])
    exact = np.array([2.0, 3, 4])
    for last, value in ((1.0, 1.5), (2.0, 1.3)):
        approx = np.array([5.0, 6, 8, last])
        found = with_control(exact, approx, tokens, chosen, settings=PLAIN, beta=3.0)
        assert found.number.value == pytest.approx(value, rel=1e-12)
        assert (found.number.low, found.gain, found.worth, found.saving(0)) == (None,) * 4


@pytest.mark.parametrize("count", [5, 6, 8])
@pytest.mark.parametrize("beta", [None, 0.0, 1.0, -2.5])
def test_over_all_subsamples_the_mean_is_the_whole_samples_however_wrong_the_approximation(
    count, beta
):
    found = []
    for chosen in map(np.array, combinations(range(9), count)):
        estimate = with_control(EXACT[chosen], WRONG, EVEN, chosen, settings=QUICK, beta=beta)
        found.append((estimate.number.value, estimate.beta))
    values, weights = np.array(found).T
    assert values.mean() == pytest.approx(EXACT.sum() / 90, rel=1e-12)
    if beta is None and count < 8:
        assert np.unique(weights.round(9)).size > 20, "no slopes were fitted, nothing was shown"


def test_slopes_fitted_on_all_chosen_documents_would_be_biased():
    # What fitting for each document on the other ones is for: the check above can fail.
    values = []
    for chosen in map(list, combinations(range(9), 5)):
        x, a = EXACT[chosen], WRONG[chosen]
        slope = np.polyfit(a, x, 1)[0]
        values.append((x.mean() + slope * (WRONG.mean() - a.mean())) / 10)
    assert abs(np.mean(values) - EXACT.sum() / 90) > 0.01


@pytest.mark.parametrize("beta", [0.0, 1.0])
def test_with_unequal_tokens_the_bias_is_that_of_a_ratio_and_below_its_bound(beta):
    # Hartley and Ross (Nature 174, 1954, 270): bias = −Cov(ratio, T)/E T, so no more than the
    # coefficient of variation of T, in standard errors.
    tokens = np.array([5, 40, 12, 9, 20, 7, 31, 15, 11])
    ratios, sizes = [], []
    for chosen in map(np.array, combinations(range(9), 5)):
        one = with_control(EXACT[chosen], WRONG, tokens, chosen, settings=QUICK, beta=beta)
        ratios.append(one.number.value - beta * WRONG.sum() / tokens.sum())
        sizes.append(tokens[chosen].sum())
    bias = np.mean(ratios) - (EXACT - beta * WRONG).sum() / tokens.sum()
    assert bias == pytest.approx(-np.cov(ratios, sizes, ddof=0)[0, 1] / np.mean(sizes), rel=1e-9)
    assert 0 < abs(bias) < np.std(ratios) * np.std(sizes) / np.mean(sizes)


def told_at(end, exact, tokens):
    """p-value that the mean is this end of its interval: 1 less the level, worked out backwards."""
    return float(p_values(exact - end * tokens, tokens))


def test_without_an_approximation_it_is_the_mean_of_the_chosen_and_its_ends_are_what_is_just_told():
    rng = np.random.default_rng(0)
    tokens, chosen = rng.integers(5, 50, 60), at_random(20, 60, seed=3)
    own = tokens[chosen]
    exact = rng.lognormal(0, 0.7, 20) * own
    plain = mean_per_token(exact, own, settings=PLAIN)
    for nothing in (np.zeros(60), tokens / 3):  # the second is the same for every token
        found = with_control(exact, nothing, tokens, chosen, settings=PLAIN)
        assert found.number.value == plain.value
        ends = (found.number.low, found.number.high)
        assert [told_at(end, exact, own) for end in ends] == pytest.approx([0.05, 0.05], rel=1e-6)
        assert found.p == pytest.approx(float(p_values(exact, own)), rel=1e-9)
        assert (found.beta, found.gain, found.worth) == (0.0, 1.0, 20.0)
    assert found.correlation is None or abs(found.correlation) < 1


def test_with_every_document_chosen_the_approximation_is_nothing():
    rng = np.random.default_rng(1)
    tokens, exact, approx = rng.integers(5, 50, 30), rng.normal(1, 1, 30), rng.normal(1, 1, 30)
    found = with_control(exact, approx, tokens, np.arange(30), settings=PLAIN)
    assert found.number.value == mean_per_token(exact, tokens, settings=PLAIN).value
    ends = (found.number.low, found.number.high)
    assert [told_at(end, exact, tokens) for end in ends] == pytest.approx([0.05, 0.05], rel=1e-6)


def test_an_interval_is_longer_on_the_side_on_which_documents_may_be_missing():
    # One of ten documents is far above: others like it may be missing, so the high end is further.
    tokens, approx = np.full(40, 10), np.zeros(40)
    exact = np.array([0.0] * 6 + [1, -1, 0.5, 8]) * 10
    for sign in (1, -1):
        number = with_control(sign * exact, approx, tokens, np.arange(10), settings=PLAIN).number
        above, below = number.high - number.value, number.value - number.low
        assert (above > 1.5 * below) if sign > 0 else (below > 1.5 * above)
        t = scipy.stats.t.isf(0.025, 9) * exact.std(ddof=1) / math.sqrt(10) / 10
        assert min(above, below) >= t * (1 - 1e-9)  # never shorter than Student's


def test_a_perfect_approximation_gives_the_whole_samples_mean_and_interval():
    rng = np.random.default_rng(2)
    tokens, chosen = rng.integers(5, 50, 400), at_random(80, 400, seed=1)
    truth = rng.normal(1, 1, 400) * tokens
    whole = mean_per_token(truth, tokens, settings=PLAIN)
    for approx in (truth, 7 - 0 * truth, -3 * truth + 5 * tokens):
        found = with_control(truth[chosen], approx, tokens, chosen, settings=PLAIN)
        if approx is truth or approx[0] != 7:
            assert found.number.value == pytest.approx(whole.value, rel=1e-9)
            # The other's degrees of freedom and tails are those of both parts together.
            width = (found.number.high - found.number.low) / (whole.high - whole.low)
            assert width == pytest.approx(1, abs=0.1)
            # 400/80, its variances estimated from 80 and 320 documents: 20% standard error.
            assert found.gain == pytest.approx(5, rel=0.5)
            assert abs(found.correlation) == pytest.approx(1)
    assert with_control(truth[chosen], truth, tokens, chosen, settings=PLAIN).beta == (
        pytest.approx(1, rel=1e-9)
    )


def test_chosen_and_other_documents_are_drawn_apart():
    # Half are chosen. Paired draws would add the two parts' deviations up, or cancel them, by the
    # order of the others, which is nothing: variance u/n + (0.5)² · (2u)²/n either way.
    u = np.random.default_rng(15).normal(0, 1, 50)
    tokens, chosen = np.ones(100), np.arange(50)
    widths = []
    for others in (2 * u, -2 * u, 2 * u[::-1]):
        approx = np.concatenate([np.zeros(50), others])
        number = with_control(u, approx, tokens, chosen, settings=PLAIN, beta=1.0).number
        widths.append(number.high - number.low)
    t = scipy.stats.t.isf(0.025, 98)  # two parts of one variance, 49 degrees of freedom each
    by_hand = 2 * t * math.sqrt(2 * u.var(ddof=1) / 50)
    assert widths == pytest.approx([by_hand] * 3, rel=0.08)


def test_where_nothing_varies_there_is_no_interval_and_no_certainty():
    tokens, chosen = np.arange(3, 15), np.arange(6)
    found = with_control(tokens[:6] / 3, tokens / 7, tokens, chosen, settings=PLAIN)
    assert found.number.value == pytest.approx(1 / 3)
    assert (found.number.low, found.number.high, found.p) == (None, None, 2.0**-5)


def test_an_estimate_does_not_depend_on_the_unit():
    tokens, chosen = np.full(20, 10), np.arange(6)
    approx = np.arange(20.0) ** 2
    one = with_control(np.arange(6.0), approx, tokens, chosen, settings=PLAIN)
    two = with_control(1e200 * np.arange(6), 1e200 * approx, tokens, chosen, settings=PLAIN)
    assert (two.number.low, two.error) == pytest.approx((1e200 * one.number.low, 1e200 * one.error))
    assert (two.beta, two.p, two.gain) == pytest.approx((one.beta, one.p, one.gain))


def test_fitted_slopes_are_those_of_refitting_without_each_document():
    rng = np.random.default_rng(3)
    t = rng.integers(5, 50, 12).astype(float)
    a = rng.normal(2, 1, 12) * t
    x = -0.8 * a + rng.normal(0, 0.5, 12) * t
    fast = control._slopes(x, a, t, spread := float(np.var(a)))
    for i in range(12):
        rest = np.arange(12) != i
        x_, a_, t_ = x[rest], a[rest], t[rest]
        u, v = x_ - x_.sum() / t_.sum() * t_, a_ - a_.sum() / t_.sum() * t_
        slope = np.linalg.lstsq(v[:, None], u, rcond=None)[0][0]
        squared_t = slope**2 * (v @ v) / (((u - slope * v) ** 2).sum() / 9)
        lacking = max(1.0, 11 * spread / (v @ v))
        assert fast[i] == pytest.approx(slope * max(0, 1 - 2 * lacking / squared_t), rel=1e-9)
    assert (fast < -0.5).all()


def test_the_scale_and_the_offset_of_an_approximation_are_nothing_to_fitted_slopes():
    rng = np.random.default_rng(4)
    tokens, chosen = rng.integers(5, 50, 60), at_random(20, 60)
    approx = rng.normal(1, 1, 60) * tokens
    exact = approx[chosen] + rng.normal(0, 0.5, 20) * tokens[chosen]
    first = with_control(exact, approx, tokens, chosen, settings=PLAIN)
    other = with_control(exact, -1e4 * approx + 50 * tokens, tokens, chosen, settings=PLAIN)
    assert other.number.value == pytest.approx(first.number.value, rel=1e-9)
    assert (other.number.low, other.number.high) == pytest.approx(
        (first.number.low, first.number.high), rel=1e-9
    )
    assert (other.beta, other.gain) == pytest.approx((-1e-4 * first.beta, first.gain), rel=1e-9)


def test_the_order_in_which_documents_were_chosen_is_nothing():
    rng = np.random.default_rng(5)
    tokens, chosen = rng.integers(5, 50, 40), at_random(15, 40)
    approx, exact = rng.normal(1, 1, 40), rng.normal(1, 1, 15)
    mixed = rng.permutation(15)
    one = with_control(exact, approx, tokens, chosen, settings=PLAIN)
    assert with_control(exact[mixed], approx, tokens, chosen[mixed], settings=PLAIN) == one


def _simulated(rho: float, tail: Callable, count: int, of: int, repetitions: int, level=0.95):
    """Errors, plain errors, whether held, gains, stated errors; the approximation is biased and twice as big."""
    rng, found = np.random.default_rng(6), []
    chosen_settings = Settings(level=level, resamples=400)
    for _ in range(repetitions):
        tokens = np.round(np.exp(rng.normal(5, 0.5, of)))
        like, unlike = tail(rng, of), tail(rng, of)
        truth = (0.3 + rho * like + math.sqrt(1 - rho**2) * unlike) * tokens
        approx = (2 * like - 5) * tokens
        chosen = at_random(count, of, seed=int(rng.integers(2**32)))
        one = with_control(truth[chosen], approx, tokens, chosen, settings=chosen_settings)
        plain = truth[chosen].sum() / tokens[chosen].sum()
        held = one.number.low <= 0.3 <= one.number.high
        found.append((one.number.value - 0.3, plain - 0.3, held, one.gain, one.error))
    return np.array(found).T


def _normal(rng, size):
    return rng.normal(size=size)


def _heavy(rng, size):
    return rng.standard_t(3, size) / math.sqrt(3)


@pytest.mark.parametrize("tail", [_normal, _heavy])
@pytest.mark.parametrize("rho", [0.0, 0.6, -0.9, 0.99])
def test_intervals_hold_the_truth_as_often_as_they_say_and_errors_centre_on_zero(rho, tail):
    errors, _, held, *_ = _simulated(rho, tail, 40, 240, 500)
    assert abs(held.mean() - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 500)
    assert abs(errors.mean()) < 4 * errors.std() / math.sqrt(500)


def test_the_check_of_coverage_can_fail():
    _, _, held, *_ = _simulated(-0.9, _normal, 40, 240, 500, level=0.85)
    assert abs(held.mean() - 0.95) > 4 * math.sqrt(0.95 * 0.05 / 500)


def test_a_good_approximation_gains_what_two_phase_sampling_says_and_reports_it():
    # Var = (n/N + (1 − n/N)(1 − ρ²)) of the plain one: 1/(1/6 + 5/6 · 0.19) = 3.08, less what
    # fitting the slope costs, about 1/n. A ratio of two variances of 1,000 errors with correlation
    # near 0.5: standard error about 5%.
    errors, plain, _, gains, said = _simulated(-0.9, _normal, 40, 240, 1000)
    expected = 1 / (1 / 6 + 5 / 6 * 0.19)
    assert plain.var() / errors.var() == pytest.approx(expected, rel=0.2)
    assert np.median(said) == pytest.approx(errors.std(), rel=0.1)
    assert np.median(gains) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("tail", [_normal, _heavy])
def test_a_useless_approximation_costs_less_than_a_tenth_of_the_precision(tail):
    errors, plain, *_ = _simulated(0.0, tail, 16, 96, 1500)
    # The two are nearly the same errors, so the ratio is known to about 1%.
    assert 0.97 < errors.var() / plain.var() < 1.1


def test_worth_and_saving_are_what_the_gain_says():
    one = control.Estimate(PLAIN, 1.0, 0.9, 3.0, 40, 400)  # type: ignore[arg-type]
    # 40 documents at a gain of 3 are worth 120; 40 + 400 · 0.05 = 60 were paid.
    assert (one.worth, one.cost(0.05), one.saving(0.05)) == (120.0, 60.0, 2.0)


def test_without_tokens_or_with_few_documents_it_says_so():
    tokens = np.array([0, 0, 4, 4, 4, 4])
    approx = np.where(tokens, 1.0, 0.0)
    nothing = with_control(np.zeros(2), approx, tokens, np.arange(2), settings=PLAIN)
    assert nothing.number.refused == "there are no tokens in the chosen documents"
    few = with_control(approx[:5], approx, tokens, np.arange(5), settings=PLAIN)
    assert few.number.value is not None and few.number.low is None and few.beta == 0.0


@pytest.mark.parametrize(
    ("chosen", "says"),
    [
        ([0, 0], "repeated"),
        ([0, 9], "0 to 9"),
        ([-1, 2], "-1 to 2"),
        ([0.0, 1.0], "list of places"),
    ],
)
def test_places_that_cannot_be_are_errors(chosen, says):
    with pytest.raises(MeasurementError, match=says):
        with_control(np.ones(2), np.ones(9), EVEN, np.array(chosen), settings=PLAIN)


def test_columns_that_do_not_fit_or_are_not_finite_are_errors():
    with pytest.raises(MeasurementError, match="exact has shape"):
        with_control(np.ones(3), np.ones(9), EVEN, np.arange(4), settings=PLAIN)
    with pytest.raises(MeasurementError, match="approx is NaN"):
        with_control(np.ones(4), WRONG * np.nan, EVEN, np.arange(4), settings=PLAIN)
    with pytest.raises(MeasurementError, match="weight nan"):
        with_control(np.ones(4), WRONG, EVEN, np.arange(4), settings=PLAIN, beta=math.nan)
    with pytest.raises(MeasurementError, match="not so many"):
        at_random(5, 4)
    for wrong in ({"count": 3.0}, {"count": True}, {"seed": -1}, {"seed": True}, {"seed": 1.0}):
        with pytest.raises(MeasurementError, match=r"no whole number|the least is 0"):
            at_random(**{"count": 3, "of": 4} | wrong)


def test_every_set_of_places_is_drawn_equally_often():
    drawn = [tuple(at_random(2, 4, seed=seed)) for seed in range(1200)]
    counts = [drawn.count(pair) for pair in combinations(range(4), 2)]
    assert sum(counts) == 1200
    assert scipy.stats.chisquare(counts).pvalue > 1e-4
