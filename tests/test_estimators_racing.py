"""Racing, what it may have missed, and ranks: by the t table, by enumeration and by simulation."""

import math
from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
import scipy.stats

from unexplained.errors import MeasurementError
from unexplained.estimators import (
    at_random,
    missed,
    missed_among,
    p_values,
    rank_intervals,
    survivors,
)

# racing


def test_a_race_by_the_t_table():
    rng = np.random.default_rng(7)
    noise = rng.normal(0, 1, (4, 6))
    # As many above as below: nothing to be lengthened for.
    effects = np.array([[0.0], [0.4], [-3.0], [2.5]]) + np.concatenate([noise, -noise], axis=1)
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


def test_a_race_keeps_a_component_of_whose_documents_the_large_ones_may_be_missing():
    # A component may be larger than it looks where its documents have a tail away from zero.
    away = np.array([0.1, 0.1, 0.1, 0.2, 0.2, 0.2, 0.3, 0.4, 0.5, 2.9])
    even = np.sign(away - np.median(away)) * away.std(ddof=0) + away.mean()
    effects = np.stack([away, even, -away, -even])
    found = survivors(effects, np.ones(10), threshold=2.0)
    assert found.kept == (0, 2)
    reach = scipy.stats.t.isf(0.05 / 4, 9) * away.std(ddof=1) / math.sqrt(10)
    assert away.mean() + reach < 2.0  # a plain t interval would let all four go


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
        # Of eight documents some look skewed by chance, which makes a race cautious; of 60 few do.
        many = _races(lambda e, t: survivors(e, t, threshold=1.0), at, np.arange(30), 60, shared)
        assert 0 < lost < many and many > 0.05 - slack
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
    with pytest.raises(MeasurementError, match=r"over 8 documents: effects has shape \(2, 9\)"):
        survivors(good, np.ones(8), keep=1)
    with pytest.raises(MeasurementError, match="effects is NaN or infinite in 9 of them"):
        survivors(good * np.array([[1], [np.nan]]), np.ones(9), keep=1)
    with pytest.raises(MeasurementError, match="negative number of tokens"):
        survivors(good, -np.ones(9), keep=1)
    with pytest.raises(
        MeasurementError, match="effects is 1 at place 0, where there are no tokens"
    ):
        survivors(good, np.arange(9), keep=1)
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
    for wrong in ((3, 4, 9), (10, 1, 9), (3, -1, 9), (3.0, 1, 9), (True, False, True)):
        with pytest.raises(MeasurementError, match=r"at most the next|least is 0|no whole number"):
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
    # Ranks take linearised parts, p-values documents left out: none of these pairs lies between the two.
    rng = np.random.default_rng(13)
    tokens = rng.integers(5, 50, 25)
    effects = (rng.normal([[0], [0.5], [-1], [1.5], [-3]], 1, (5, 25))) * tokens
    level, pairs = 0.95, range(5)

    def told(contrast: np.ndarray) -> int:
        sure = p_values(contrast, tokens) < 2 * (1 - level) / (5 * 4)
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
        assert named > 50, "nothing was ever told apart"


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


def test_what_agrees_in_few_documents_is_not_ranked_and_in_many_it_is():
    same = np.array([[1.0], [2.0], [3.0]])
    few, many = (rank_intervals(np.repeat(same, n, axis=1), np.ones(n)) for n in (6, 20))
    assert few.low.tolist() == [1, 1, 1] and many.low.tolist() == [3, 2, 1]


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
