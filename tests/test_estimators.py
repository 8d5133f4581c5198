"""Estimators below the exact cost: unbiased by enumeration, intervals and bounds by simulation."""

import math
from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
import scipy.stats

from unexplained.errors import MeasurementError
from unexplained.estimators import (
    at_random,
    control,
    missed,
    missed_among,
    rank_intervals,
    survivors,
    with_control,
)
from unexplained.stats import Settings, mean_per_token, p_value

PLAIN = Settings()
QUICK = Settings(resamples=40)
EVEN = np.full(9, 10)
EXACT = np.array([3.0, -1, 4, 1, -5, 9, 2, 6, 5])
WRONG = np.array([7.0, 0, 30, -4, 2, 11, 8, 1, 40])
"""Biased, hardly correlated with EXACT, and with two documents of far greater spread."""


# control variates


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


def test_without_an_approximation_it_is_the_mean_of_the_chosen_draw_for_draw():
    rng = np.random.default_rng(0)
    tokens, chosen = rng.integers(5, 50, 60), at_random(20, 60, seed=3)
    exact = rng.normal(1, 1, 20) * tokens[chosen]
    plain = mean_per_token(exact, tokens[chosen], settings=PLAIN)
    for nothing in (np.zeros(60), tokens / 3):  # the second is the same for every token
        found = with_control(exact, nothing, tokens, chosen, settings=PLAIN)
        assert found.number == plain
        assert (found.beta, found.gain, found.worth) == (0.0, 1.0, 20.0)
    assert found.correlation is None or abs(found.correlation) < 1


def test_with_every_document_chosen_the_approximation_is_nothing():
    rng = np.random.default_rng(1)
    tokens, exact, approx = rng.integers(5, 50, 30), rng.normal(1, 1, 30), rng.normal(1, 1, 30)
    found = with_control(exact, approx, tokens, np.arange(30), settings=PLAIN)
    assert found.number == mean_per_token(exact, tokens, settings=PLAIN)


def test_a_perfect_approximation_gives_the_whole_samples_mean_and_interval():
    rng = np.random.default_rng(2)
    tokens, chosen = rng.integers(5, 50, 400), at_random(80, 400, seed=1)
    truth = rng.normal(1, 1, 400) * tokens
    whole = mean_per_token(truth, tokens, settings=PLAIN)
    for approx in (truth, 7 - 0 * truth, -3 * truth + 5 * tokens):
        found = with_control(truth[chosen], approx, tokens, chosen, settings=PLAIN)
        if approx is truth or approx[0] != 7:
            assert found.number.value == pytest.approx(whole.value, rel=1e-9)
            # Two bootstraps of 2,000: each width has a standard error of about 2%.
            width = (found.number.high - found.number.low) / (whole.high - whole.low)
            assert width == pytest.approx(1, abs=0.1)
            # 400/80, its variances estimated from 80 and 320 documents: 20% standard error.
            assert found.gain == pytest.approx(5, rel=0.5)
            assert abs(found.correlation) == pytest.approx(1)
    assert with_control(truth[chosen], truth, tokens, chosen, settings=PLAIN).beta == (
        pytest.approx(1, rel=1e-9)
    )


def test_where_nothing_varies_the_interval_has_no_width():
    tokens, chosen = np.arange(3, 15), np.arange(6)
    found = with_control(tokens[:6] / 3, tokens / 7, tokens, chosen, settings=PLAIN)
    assert (found.number.low, found.number.high) == pytest.approx((1 / 3, 1 / 3), rel=1e-12)


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
    """Errors, plain errors, whether held, and gains; the approximation is biased and twice as big."""
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
        found.append((one.number.value - 0.3, plain - 0.3, held, one.gain))
    return np.array(found).T


def _normal(rng, size):
    return rng.normal(size=size)


def _heavy(rng, size):
    return rng.standard_t(3, size) / math.sqrt(3)


@pytest.mark.parametrize("tail", [_normal, _heavy])
@pytest.mark.parametrize("rho", [0.0, 0.6, -0.9, 0.99])
def test_intervals_hold_the_truth_as_often_as_they_say_and_errors_centre_on_zero(rho, tail):
    errors, _, held, _ = _simulated(rho, tail, 40, 240, 500)
    assert abs(held.mean() - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 500)
    assert abs(errors.mean()) < 4 * errors.std() / math.sqrt(500)


def test_the_check_of_coverage_can_fail():
    _, _, held, _ = _simulated(-0.9, _normal, 40, 240, 500, level=0.85)
    assert abs(held.mean() - 0.95) > 4 * math.sqrt(0.95 * 0.05 / 500)


def test_a_good_approximation_gains_what_two_phase_sampling_says_and_reports_it():
    # Var = (n/N + (1 − n/N)(1 − ρ²)) of the plain one: 1/(1/6 + 5/6 · 0.19) = 3.08, less what
    # fitting the slope costs, about 1/n. A ratio of two variances of 1,000 errors with correlation
    # near 0.5: standard error about 5%.
    errors, plain, _, gains = _simulated(-0.9, _normal, 40, 240, 1000)
    expected = 1 / (1 / 6 + 5 / 6 * 0.19)
    assert plain.var() / errors.var() == pytest.approx(expected, rel=0.2)
    assert np.median(gains) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("tail", [_normal, _heavy])
def test_a_useless_approximation_costs_less_than_a_tenth_of_the_precision(tail):
    errors, plain, _, _ = _simulated(0.0, tail, 16, 96, 1500)
    # The two are nearly the same errors, so the ratio is known to about 1%.
    assert 0.97 < errors.var() / plain.var() < 1.1


def test_worth_and_saving_are_what_the_gain_says():
    one = control.Estimate(PLAIN, 1.0, 0.9, 3.0, 40, 400)  # type: ignore[arg-type]
    # 40 documents at a gain of 3 are worth 120; 40 + 400 · 0.05 = 60 were paid.
    assert (one.worth, one.cost(0.05), one.saving(0.05)) == (120.0, 60.0, 2.0)


def test_without_tokens_or_with_few_documents_it_says_so():
    tokens = np.array([0, 0, 4, 4, 4, 4])
    nothing = with_control(np.zeros(2), np.ones(6), tokens, np.arange(2), settings=PLAIN)
    assert nothing.number.refused == "there are no tokens in the chosen documents"
    few = with_control(np.ones(5), np.ones(6), tokens, np.arange(5), settings=PLAIN)
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
    with pytest.raises(MeasurementError, match="not so many"):
        at_random(5, 4)


def test_every_set_of_places_is_drawn_equally_often():
    drawn = [tuple(at_random(2, 4, seed=seed)) for seed in range(1200)]
    counts = [drawn.count(pair) for pair in combinations(range(4), 2)]
    assert sum(counts) == 1200
    assert scipy.stats.chisquare(counts).pvalue > 1e-4


# racing


def test_a_race_by_the_t_table():
    rng = np.random.default_rng(7)
    effects = rng.normal([[0.0], [0.4], [-3.0], [2.5]], 1, (4, 12))
    mean, error = effects.mean(1), scipy.stats.sem(effects, axis=1)
    upper = abs(mean) + scipy.stats.t.isf(0.05 / 4, 11) * error
    for threshold in (0.5, 1.0, 2.0, 3.0):
        found = survivors(effects, np.ones(12), threshold=threshold)
        assert found.kept == tuple(np.flatnonzero(upper >= threshold))
        assert sorted(found.kept + found.rejected) == [0, 1, 2, 3]
        assert [r.startswith("kept") for r in found.reasons] == list(upper >= threshold)
    # Two largest: 2 · 4 − 2 + 2 = 8 tails.
    reach = scipy.stats.t.isf(0.05 / 8, 11) * error
    found = survivors(effects, np.ones(12), keep=2)
    assert found.bar == pytest.approx(np.sort(abs(mean) - reach)[-2])
    assert found.kept == tuple(np.flatnonzero(abs(mean) + reach >= found.bar))
    assert found.kept == (2, 3)


def _races(race: Callable, truth: np.ndarray, sought: np.ndarray, documents: int, shared: float):
    """The share of 800 races, with errors common to all components, that lose one of the sought."""
    rng, lost = np.random.default_rng(8), 0
    for _ in range(800):
        noise = rng.normal(0, 1, (truth.size, documents)) + shared * rng.normal(0, 1, documents)
        kept = race(truth[:, None] + noise, np.ones(documents)).kept
        lost += not set(sought) <= set(kept)
    return lost / 800


@pytest.mark.parametrize("shared", [0.0, 2.0])
def test_a_race_loses_one_of_the_sought_no_more_often_than_it_says(shared):
    slack = 4 * math.sqrt(0.05 * 0.95 / 800)
    # The least favourable case: all components exactly at the threshold, of either sign.
    at = np.array([1.0, -1.0] * 15)
    lost = _races(lambda e, t: survivors(e, t, threshold=1.0), at, np.arange(30), 8, shared)
    assert lost < 0.05 + slack
    if shared == 0:  # independent: 1 − (1 − 0.05/30)³⁰ = 4.9%, neither lax nor wasteful
        assert lost > 0.05 - slack
    # For the five largest, no case is known to be the worst: a close one and one with ties.
    for rest in (0.9, 1.0):
        truth = np.array([1.0] * 5 + [rest] * 20)
        sought = np.arange(5)
        assert _races(lambda e, t: survivors(e, t, keep=5), truth, sought, 8, shared) < 0.05 + slack


def test_a_race_lets_go_of_what_is_far_below():
    rng = np.random.default_rng(9)
    truth = np.r_[np.full(5, 8.0), np.zeros(95)]
    effects = truth[:, None] + rng.normal(0, 1, (100, 20))
    for how in ({"keep": 5}, {"threshold": 4.0}):
        found = survivors(effects, np.ones(20), **how)
        assert found.kept == (0, 1, 2, 3, 4)
        assert "cannot reach" in found.reasons[50]


def test_a_race_for_more_than_there_are_keeps_all():
    effects = np.random.default_rng(0).normal(size=(3, 9))
    assert survivors(effects, np.ones(9), keep=7).kept == (0, 1, 2)


@pytest.mark.parametrize(
    "how",
    [{}, {"keep": 1, "threshold": 1.0}, {"keep": 0}, {"threshold": 0.0}, {"level": 1.0, "keep": 1}],
)
def test_races_that_cannot_be_are_errors(how):
    with pytest.raises(MeasurementError):
        survivors(np.ones((2, 9)), np.ones(9), **how)


def test_columns_of_components_that_cannot_be_are_errors():
    good = np.ones((2, 9))
    with pytest.raises(MeasurementError, match=r"\(2, 9\) and tokens \(8,\)"):
        survivors(good, np.ones(8), keep=1)
    with pytest.raises(MeasurementError, match="component 1 has an entry"):
        survivors(good * np.array([[1], [np.nan]]), np.ones(9), keep=1)
    with pytest.raises(MeasurementError, match="negative number of tokens"):
        survivors(good, -np.ones(9), keep=1)
    with pytest.raises(MeasurementError, match="4 have tokens and it takes 5"):
        rank_intervals(good[:, :4], np.ones(4))


# what was missed


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_the_bound_on_what_was_missed_holds_in_every_small_population(level):
    tight = 0
    for rejected in range(1, 11):
        for sampled in range(rejected + 1):
            bound = [missed(sampled, k, rejected, level=level).count for k in range(sampled + 1)]
            for true in range(rejected + 1):
                # Every sample there is; the marked are the first `true` components.
                samples = list(combinations(range(rejected), sampled))
                found = [sum(i < true for i in sample) for sample in samples]
                assert np.mean([bound[k] >= true for k in found]) >= level - 1e-12
                tight += np.mean([bound[k] - 1 >= true for k in found]) < level
    assert tight > 50, "a bound lower by one would hold as well: this one is wasteful"


def test_the_binomial_bound_is_clopper_and_pearsons_and_never_below_the_finite_one():
    for sampled, exceeding in ((20, 0), (20, 3), (7, 7), (50, 1)):
        theirs = scipy.stats.binomtest(exceeding, sampled, alternative="less")
        high = theirs.proportion_ci(0.95, "exact").high
        for rejected in (sampled, 60, 1000, 123_211):
            found = missed(sampled, exceeding, rejected)
            assert found.binomial_share == pytest.approx(high, rel=1e-9)
            assert found.share <= found.binomial_share + 1e-12
        assert found.share == pytest.approx(high, rel=1e-3)  # 123,211 are endlessly many


def test_bounds_without_a_sample_and_with_a_whole_one():
    assert missed(0, 0, 40).count == 40
    assert missed(40, 3, 40).count == 3
    assert missed(0, 0, 0).share == 0
    for wrong in ((3, 4, 9), (10, 1, 9), (3, -1, 9)):
        with pytest.raises(MeasurementError, match="at most the next"):
            missed(*wrong)
    with pytest.raises(MeasurementError, match="level"):
        missed(1, 0, 2, level=95)


def test_what_is_said_of_the_measured_documents_needs_no_assumption():
    # 40 rejected; effects so skewed that no t interval means anything. Over random samples of 15
    # the bound on how many reach 0.3 on these very documents must hold as often as it says.
    rng = np.random.default_rng(10)
    effects = rng.lognormal(0, 2, (40, 6)) * (rng.random((40, 6)) < 0.2)
    true = int((effects.mean(1) >= 0.3).sum())
    assert 5 < true < 30
    held = []
    for seed in range(600):
        sample = at_random(15, 40, seed=seed)
        found = missed_among(effects[sample], np.ones(6), rejected=40, threshold=0.3)
        held.append(found.here.count >= true)
        assert found.anywhere.count >= found.here.count
    assert np.mean(held) > 0.95 - 4 * math.sqrt(0.95 * 0.05 / 600)


def test_noise_in_the_sampled_counts_against_them_elsewhere():
    rng = np.random.default_rng(11)
    held = []
    for _ in range(300):
        truth = np.where(np.arange(30) < 6, 1.0, 0.0)  # exactly at the threshold
        sample = rng.choice(30, 15, replace=False)
        effects = truth[sample, None] + rng.normal(0, 0.7, (15, 10))
        found = missed_among(effects, np.ones(10), rejected=30, threshold=1.0)
        held.append((found.here.count >= 6, found.anywhere.count >= 6))
    here, anywhere = np.mean(held, axis=0)
    assert anywhere >= 0.95 - 4 * math.sqrt(0.95 * 0.05 / 300)
    assert here < 0.95  # half of the six look smaller than they are: why there are two bounds


# ranks


def test_pairs_are_told_apart_as_by_their_p_values():
    rng = np.random.default_rng(12)
    tokens = rng.integers(5, 50, 25)
    effects = (rng.normal([[0], [0.5], [-1], [1.5], [-3]], 1, (5, 25))) * tokens
    level, pairs = 0.95, range(5)

    def told(contrast: np.ndarray) -> int:
        sure = p_value(contrast, tokens) < 2 * (1 - level) / (5 * 4)
        return int(np.sign(contrast.sum()) * sure)

    for signed in (True, False):
        above = np.zeros((5, 5), dtype=bool)
        for j in pairs:
            for k in pairs:
                apart = told(effects[j] - effects[k]) if j != k else 0
                above[j, k] = apart > 0 if signed else apart * told(effects[j] + effects[k]) > 0
        found = rank_intervals(effects, tokens, signed=signed)
        assert found.low.tolist() == (1 + above.sum(0)).tolist()
        assert found.high.tolist() == (5 - above.sum(1)).tolist()
        assert (found.low <= found.rank).all() and (found.rank <= found.high).all()
        assert 0 < above.sum() < 10, "all or nothing was told apart"
    assert found.rank.tolist() == scipy.stats.rankdata(-abs(effects.sum(1)), "min").tolist()


def _true_ranks(size: np.ndarray) -> np.ndarray:
    return 1 + (size[None, :] > size[:, None]).sum(1)


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("truth", [np.ones(12), np.arange(-11, 12, 2) / 8, np.zeros(12)])
def test_no_pair_is_put_in_the_wrong_order_more_often_than_the_level_says(truth, signed):
    rng, wrong, named = np.random.default_rng(13), 0, 0
    scale = np.linspace(0.2, 1.5, 12)[:, None]
    ranks = _true_ranks(truth if signed else abs(truth))
    last = 12 - _true_ranks(-(truth if signed else abs(truth))) + 1
    for _ in range(500):
        shared = rng.normal(0, 1, 8) * np.linspace(0, 1, 12)[:, None]
        effects = truth[:, None] + shared + scale * rng.normal(0, 1, (12, 8))
        found = rank_intervals(effects, np.ones(8), signed=signed)
        # Tied components may have any rank of their tie, so none may be told apart.
        wrong += bool((found.low > ranks).any() or (found.high < last).any())
        named += int((found.high - found.low).sum() < 12 * 11)
    assert wrong / 500 < 0.05 + 4 * math.sqrt(0.05 * 0.95 / 500)
    if truth[0] < 0:
        assert named > 100, "nothing was ever told apart"


def test_the_top_is_named_or_is_within_noise():
    rng = np.random.default_rng(14)
    clear = rng.normal([[9], [-5], [0], [0.1]], 1, (4, 30))
    ranks = rank_intervals(clear, np.ones(30))
    assert (ranks.surely(1), ranks.possibly(1)) == ((0,), (0,))
    assert ranks.stated(1) == "which of 4 components is the largest is told at the level of 95%"
    assert (ranks.surely(3), ranks.possibly(3)) == ((0, 1), (0, 1, 2, 3))
    assert "2 can be named" in ranks.stated(3) and "2 more could" in ranks.stated(3)
    noise = rank_intervals(rng.normal(0, 1, (4, 30)), np.ones(30))
    assert (
        noise.stated(2)
        == "which of 4 components are among the 2 largest is within noise: 4 could be"
    )


def test_opposite_effects_of_one_size_are_one_rank_by_size_and_two_by_sign():
    effects = np.stack([np.linspace(4, 6, 20), -np.linspace(4, 6, 20), np.zeros(20)])
    assert rank_intervals(effects, np.ones(20)).high.tolist() == [2, 2, 3]
    assert rank_intervals(effects, np.ones(20), signed=True).rank.tolist() == [1, 3, 2]
    assert rank_intervals(effects, np.ones(20), signed=True).low.tolist() == [1, 3, 2]


def test_differences_that_are_rounding_are_not_told_apart_and_copies_never_are():
    steady = np.ones((2, 9)) + np.array([[0], [1e-7]])
    assert rank_intervals(steady, np.ones(9)).low.tolist() == [2, 1]
    assert rank_intervals(steady, np.ones(9), floor=1e-5).low.tolist() == [1, 1]
    copies = np.tile(np.random.default_rng(0).normal(size=9), (3, 1))
    found = rank_intervals(copies, np.ones(9))
    assert (found.low.tolist(), found.high.tolist()) == ([1, 1, 1], [3, 3, 3])
    assert rank_intervals(copies[:1], np.ones(9)).high.tolist() == [1]
    with pytest.raises(MeasurementError, match="level"):
        rank_intervals(copies, np.ones(9), level=1.5)
