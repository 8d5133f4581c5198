"""Ratios of sums: their values by hand, their intervals by theorem, scipy and simulation."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from unexplained import stats
from unexplained.errors import MeasurementError
from unexplained.estimators import p_values
from unexplained.record import Number
from unexplained.stats import (
    Settings,
    difference_of_means,
    difference_per_token,
    fraction,
    mean_per_token,
    written,
)

PLAIN = Settings()


def test_a_mean_is_total_over_total_and_not_a_mean_of_document_means():
    # 100/100 tokens and 30/10 tokens: 130/110, where document means 1 and 3 would give 2.
    number = mean_per_token(np.array([100.0, 30.0]), np.array([100, 10]), settings=PLAIN)
    assert number.value == 130 / 110
    assert number.unit == "nats per token"


def test_a_fraction_is_total_over_total():
    top, bottom = np.array([1.0, 2, 3, 0, 1]), np.array([2.0, 2, 4, 1, 5])
    number = fraction(top, bottom, np.full(5, 10), what="damage", settings=PLAIN)
    assert number.value == 7 / 14
    assert number.low < 0.5 < number.high


def test_with_few_documents_a_mean_has_no_interval_and_a_fraction_is_refused():
    tokens = np.full(4, 10)
    mean = mean_per_token(np.arange(4.0), tokens, settings=PLAIN)
    assert (mean.value, mean.low, mean.high) == (6 / 40, None, None)
    share = fraction(np.arange(4.0), np.arange(4.0) + 1, tokens, what="damage", settings=PLAIN)
    assert share.value is None
    assert share.refused == "too few documents for an interval (4; it takes 5)"


def test_documents_without_such_tokens_do_not_count_as_documents():
    tokens = np.array([10, 10, 10, 10, 0, 0, 0])
    share = fraction(tokens * 0.5, tokens * 1.0, tokens, what="damage", settings=PLAIN)
    assert share.refused.startswith("too few documents for an interval (4;")


def test_no_tokens_at_all_is_refused_and_not_zero():
    none = np.zeros(6)
    assert mean_per_token(none, none, settings=PLAIN).refused == "there are no tokens here"
    assert (
        fraction(none, none, none, what="d", settings=PLAIN).refused == "there are no tokens here"
    )


@pytest.mark.parametrize("documents", [3, 40])
def test_identities_are_exact_however_few_the_documents(documents):
    # Thirds and sevenths: not exact in binary, so that rounding would show.
    damage = (np.arange(documents) + 1) / 3 + 1 / 7
    tokens = np.arange(documents) + 5
    known = {"what": "damage", "settings": PLAIN, "exact": True}
    one = fraction(damage, damage.copy(), tokens, **known)
    assert (one.value, one.low, one.high) == (1.0, 1.0, 1.0)
    nil = fraction(damage * 0, damage, tokens, **known)
    assert (nil.value, nil.low, nil.high) == (0.0, 0.0, 0.0)
    still = mean_per_token(damage * 0, tokens, settings=PLAIN, exact=True)
    assert still.value == 0.0
    assert (still.low, still.high) == ((0.0, 0.0) if documents > 4 else (None, None))


def test_what_merely_is_the_same_in_the_documents_that_were_seen_is_no_identity():
    damage, tokens = (np.arange(3) + 1) / 3, np.full(3, 10)
    for numerator in (damage, 0 * damage):
        few = fraction(numerator, damage, tokens, what="damage", settings=PLAIN)
        assert few.refused == "too few documents for an interval (3; it takes 5)"
    # Of a kind that 16 documents may all lack there are 1 − 0.025^(1/16) = 20.6% at most.
    damage, tokens = np.full(16, 2.0), np.full(16, 10)
    for share in (0.0, 0.3, 1.0, 4.0):
        found = fraction(share * damage, damage, tokens, what="damage", settings=PLAIN)
        off = (1 - 0.025 ** (1 / 16)) * max(1, share)
        assert (found.low, found.high) == pytest.approx((share - off, share + off), rel=1e-9)
    # Unequal damages are fewer documents: (Σ d)² / Σ d² of them.
    damage[0] = 20
    found = fraction(0 * damage, damage, tokens, what="damage", settings=PLAIN)
    assert found.high == pytest.approx(1 - 0.025 ** (1 / (50**2 / (400 + 15 * 4))), rel=1e-9)
    # Losses that differ by the rounding of float32 alone are the same.
    near = 1e-8 * np.random.default_rng(0).normal(size=16)
    found = fraction(near, np.full(16, 2.0), tokens, what="damage", settings=PLAIN)
    assert found.low < -0.2 and found.high > 0.2


def test_no_interval_of_documents_that_happen_to_agree_is_without_length():
    tokens = np.full(16, 10)
    for share in (0.0, 0.1, 0.5, 1.0):
        found = mean_per_token(share * tokens, tokens, settings=PLAIN, unit="share")
        assert 0 <= found.low < found.high <= 1 and found.high - found.low > 0.05
    half = scipy.stats.binomtest(80, 160).proportion_ci(0.95, method="exact")
    found = mean_per_token(0.5 * tokens, tokens, settings=PLAIN, unit="share")
    assert found.low == pytest.approx(half.low, abs=0.01)
    assert found.high == pytest.approx(half.high, abs=0.01)
    none = difference_per_token(tokens / 2, tokens / 2, tokens, settings=PLAIN, unit="share")
    off = 1 - 0.025 ** (1 / 16)
    assert (none.low, none.value, none.high) == pytest.approx((-off, 0, off))
    # Nothing bounds nats: there the value has no interval.
    nats = mean_per_token(tokens * 2.0, tokens, settings=PLAIN)
    assert (nats.value, nats.low, nats.high) == (2.0, None, None)
    twice = (tokens * 2.0, tokens)
    parts = difference_of_means(twice, twice, settings=PLAIN)
    assert (parts.value, parts.low, parts.high) == (0.0, None, None)


def test_an_interval_out_of_all_proportion_is_refused_with_what_was_found_and_what_it_would_take():
    rng = np.random.default_rng(3)
    bottom = rng.lognormal(0, 0.9, 8)
    top, tokens = 0.3 * bottom + rng.normal(0, 1, 8), np.full(8, 10)
    found = fraction(top, bottom, tokens, what="damage", settings=PLAIN)
    assert found.value is None
    value = f"{top.sum() / bottom.sum() * 100:,.0f}%".replace("-", "−")
    assert found.refused.startswith(f"from 8 documents it would be {value} [−")
    assert "says nothing" in found.refused
    many = int(found.refused.split("about ")[1].split(" ")[0])
    times = many // 8
    again = [np.tile(column, times) for column in (top, bottom, tokens)]
    told = fraction(*again, what="damage", settings=PLAIN)
    assert max(told.high - told.value, told.value - told.low) <= 20
    assert many >= 32  # with fewer a tail below zero need not show


def test_a_large_ratio_may_have_an_interval_in_proportion():
    rng = np.random.default_rng(1)
    bottom = rng.normal(1, 0.9, 40)
    top = -92 * bottom + rng.normal(0, 100, 40)
    found = fraction(top, bottom, np.full(40, 10), what="damage", settings=PLAIN)
    assert found.high - found.low > 40  # far beyond 20, were the value not as large


entries_of_any_size = st.floats(-1e6, 1e6, allow_subnormal=False)


@settings(max_examples=150, deadline=None)
@given(
    st.integers(5, 12).flatmap(
        lambda n: st.tuples(
            arrays(float, n, elements=entries_of_any_size.map(lambda x: round(x, 3))),
            arrays(float, n, elements=st.floats(-10, 1e4).map(lambda x: round(x, 3))),
            arrays(np.int64, n, elements=st.integers(1, 50)),
        )
    ),
    st.sampled_from([(-900, 1), (-500, 300), (7, 300), (490, -300), (900, 1), (0, -900), (0, 900)]),
)
def test_no_interval_depends_on_the_unit(data, powers):
    (top, bottom, tokens), (power, other) = data, powers
    scale, sizes = 2.0**power, 2.0**other
    one = fraction(top, bottom, tokens, what="d", settings=PLAIN)
    two = fraction(top * scale, bottom * scale, tokens * sizes, what="d", settings=PLAIN)
    assert (one.value, one.low, one.high) == (two.value, two.low, two.high)
    moved = mean_per_token(bottom * scale, tokens * sizes, settings=PLAIN)
    mean = mean_per_token(bottom, tokens, settings=PLAIN)
    by = 2.0 ** (power - other)
    for name in ("value", "low", "high"):
        number = getattr(mean, name)
        assert getattr(moved, name) == (None if number is None else number * by)
    assert p_values(bottom * scale, tokens * sizes) == pytest.approx(p_values(bottom, tokens))


@pytest.mark.parametrize("size", [1e150, 1e-200, 1e300, 1e-300])
def test_totals_of_any_size_have_their_interval(size):
    rng = np.random.default_rng(4)
    plain, bottom, tokens = rng.normal(1, 1, 20), rng.normal(3, 1, 20), np.full(20, 10)
    found = mean_per_token(plain * size, tokens, settings=PLAIN)
    assert found.low < found.value < found.high
    one, two = (
        fraction(plain * by, bottom * by, tokens, what="d", settings=PLAIN) for by in (1, size)
    )
    for name in ("value", "low", "high"):
        assert getattr(two, name) == pytest.approx(getattr(one, name), rel=1e-9)
    noise = np.array([1.0, -1.0] * 10) * size + 0.1 * size
    asked = fraction(noise, noise, tokens, what="d", settings=PLAIN).tokens_needed
    assert (
        asked
        == fraction(noise / size, noise / size, tokens, what="d", settings=PLAIN).tokens_needed
    )
    with pytest.raises(MeasurementError, match="no number here can hold"):
        mean_per_token(np.full(6, 1e308), np.full(6, 1e-200), settings=PLAIN)


class Odd:
    """No number."""


@pytest.mark.parametrize(
    ("column", "says"),
    [
        (np.ones(6) * 1j, "complex128"),
        (np.array(["1"] * 6), "<U1"),
        (np.array([Odd()] * 6), "object"),
        (np.array(["1", 2, 3, 4, 5, 6], dtype=object), "object"),
        (np.ma.masked_equal(np.arange(6.0), 2), "1 entries are masked"),
        (np.array(["2020-01-01"] * 6, dtype="datetime64[D]"), "datetime64"),
        ([[1.0], [1.0, 2.0]] * 3, "cannot be read"),
    ],
)
def test_what_is_no_column_of_real_numbers_is_refused_by_name(column, says):
    for give in (
        lambda: mean_per_token(column, np.ones(6), settings=PLAIN),
        lambda: mean_per_token(np.ones(6), column, settings=PLAIN),
        lambda: fraction(np.ones(6), column, np.ones(6), what="d", settings=PLAIN),
    ):
        with pytest.raises(MeasurementError, match=says):
            give()


def test_columns_of_any_real_kind_are_their_numbers():
    plain = np.array([1, 2, 4, 2, 1, 3])
    tokens = np.full(6, 5)
    want = mean_per_token(plain.astype(float), tokens, settings=PLAIN)
    for kind in (np.int8, np.uint64, np.float32, object):
        assert mean_per_token(plain.astype(kind), tokens, settings=PLAIN) == want
    assert mean_per_token(np.ma.array(plain), tokens, settings=PLAIN) == want
    assert mean_per_token(list(plain), list(tokens), settings=PLAIN) == want


def test_a_document_without_tokens_has_no_sum():
    tokens = np.array([5, 5, 0, 5, 5, 5])
    for give in (
        lambda: mean_per_token(np.ones(6), tokens, settings=PLAIN),
        lambda: fraction(np.ones(6), tokens, tokens, what="d", settings=PLAIN),
        lambda: p_values(np.ones(6), tokens),
    ):
        with pytest.raises(MeasurementError, match="is 1 at place 2, where there are no tokens"):
            give()


def test_a_difference_of_shares_that_is_never_below_zero_here_may_be_elsewhere():
    tokens = np.full(16, 10)
    few = np.zeros(16)
    few[3] = 1
    found = difference_per_token(few, 0 * few, tokens, settings=PLAIN, unit="share")
    assert found.low < 0 < found.value < found.high
    whole = difference_per_token(tokens, 0 * tokens, tokens, settings=PLAIN, unit="share")
    assert whole.low < whole.value == whole.high == 1


def test_a_share_counts_no_more_than_its_tokens():
    tokens = np.full(6, 5)
    with pytest.raises(MeasurementError, match="6 of 5 tokens count at place 0"):
        mean_per_token(np.array([6, 1, 1, 1, 1, 1]), tokens, settings=PLAIN, unit="share")
    with pytest.raises(MeasurementError, match=r"-6 of 5 tokens"):
        mean_per_token(np.array([1, -6, 1, 1, 1, 1]), tokens, settings=PLAIN, unit="share")
    with pytest.raises(MeasurementError, match="Give tokens as counts"):
        mean_per_token(np.full(6, 0.1), np.full(6, 0.2), settings=PLAIN, unit="share")


def test_documents_of_which_one_has_nearly_all_tokens_give_no_interval():
    rng = np.random.default_rng(0)
    tokens = np.array([100_000, *[10] * 40])
    total = tokens * rng.normal(3, 1, 41)
    found = mean_per_token(total, tokens, settings=PLAIN)
    assert found.value is not None and found.low is found.high is None
    share = fraction(total / 2, total, tokens, what="damage", settings=PLAIN)
    assert share.refused.startswith(
        "documents too unequal for an interval (the largest of 41 has 99.6%"
    )
    assert "worth 1.0 of one length" in share.refused
    even = (total[1:], tokens[1:])
    assert difference_of_means((total, tokens), (total, tokens), settings=PLAIN).low is None
    assert mean_per_token(*even, settings=PLAIN).low is not None


def test_two_means_of_different_documents_are_no_pair():
    one, two = (np.ones(6), np.ones(6)), (np.ones(7), np.ones(7))
    with pytest.raises(MeasurementError, match="6 documents, the other of 7"):
        difference_of_means(one, two, settings=PLAIN)


def test_an_identity_does_not_survive_a_denominator_of_noise():
    noise = np.array([1.0, -1.0] * 10) + 0.01
    for top in (noise, noise * 0):
        assert fraction(top, noise, np.full(20, 9), what="d", settings=PLAIN).value is None
    few = np.array([1.0, -1.0, -1.0])
    assert fraction(few, few, np.full(3, 9), what="d", settings=PLAIN).value is None


def test_a_denominator_of_noise_is_named_with_its_size_and_the_tokens_it_would_take():
    # Ten documents of 100 tokens with totals 3, −1, 3, …: mean 1 each. Residuals are ±2, so their spread
    # is sqrt(10/9 · 4) = 2.1082, and √n ≥ 2.1082 (Student's quantile of n + 0.841621) from n = 38 on.
    enough = [n for n in range(5, 99)
              if n**0.5 >= (40 / 9) ** 0.5 * (scipy.stats.t.ppf(0.975, n - 1) + 0.841621)]  # fmt: skip
    totals = np.array([3.0, -1.0] * 5)
    refused = fraction(totals, totals, np.full(10, 100), what="damage of 'mean'", settings=PLAIN)
    assert refused.value is None
    assert refused.refused.startswith("the denominator (damage of 'mean') is 0.0100 [−0.")
    assert refused.refused.endswith("] nats per token, within noise of zero")
    assert enough[0] * 100 <= refused.tokens_needed <= enough[0] * 107


def test_a_denominator_of_nothing_needs_no_number_of_tokens():
    refused = fraction(np.ones(8), np.zeros(8), np.full(8, 5), what="d", settings=PLAIN)
    assert refused.refused == "the denominator (d) is 0 [0, 0] nats per token, within noise of zero"
    assert refused.tokens_needed is None


def test_a_need_beyond_any_text_is_not_given():
    totals = np.array([1.0, -1.0] * 10)
    totals[0] += 1e-9
    refused = fraction(totals, totals, np.full(20, 100), what="d", settings=PLAIN)
    assert refused.value is None
    assert refused.tokens_needed is None


def test_a_negative_denominator_is_refused_by_its_own_name():
    gain = -np.linspace(1, 2, 30)
    refused = fraction(
        gain, gain, np.full(30, 10), what="d", if_negative="the ablation helps", settings=PLAIN
    )
    assert refused.value is None
    assert refused.refused.startswith("the denominator (d) is −0.150 [−0.161, −0.139]")
    assert refused.refused.endswith("nats per token: the ablation helps")


def test_fractions_beyond_0_and_1_are_not_clipped():
    damage, tokens = np.linspace(1, 2, 30), np.full(30, 10)
    over = fraction(damage * 1.5, damage, tokens, what="d", settings=PLAIN)
    under = fraction(damage * -2, damage, tokens, what="d", settings=PLAIN)
    assert (over.value, under.value) == pytest.approx((1.5, -2.0))


def test_resamples_are_those_of_scipy():
    rng = np.random.default_rng(3)
    top, bottom = rng.normal(2, 1, 60), rng.normal(3, 1, 60)
    ours = stats.resampled(Settings(resamples=500, seed=11), top, bottom)
    theirs = scipy.stats.bootstrap(
        (top, bottom),
        lambda a, b, axis: a.sum(axis) / b.sum(axis),
        paired=True,
        vectorized=True,
        n_resamples=500,
        method="percentile",
        rng=np.random.default_rng(11),
    )
    # Sums of 60 doubles in another order: 60 units in the last place at most.
    np.testing.assert_allclose(
        ours[0] / ours[1], theirs.bootstrap_distribution, rtol=2 * 60 * np.finfo(float).eps
    )


def test_a_difference_of_means_is_its_formula_and_its_interval_close_to_scipys():
    rng = np.random.default_rng(7)
    tokens, others = rng.integers(5, 30, 60), rng.integers(5, 30, 60)
    early, late = rng.normal(3, 1, 60) * tokens, rng.normal(2, 1, 60) * others
    ours = difference_of_means((early, tokens), (late, others), settings=Settings(seed=5))
    by_hand = early.sum() / tokens.sum() - late.sum() / others.sum()
    assert ours.value == pytest.approx(by_hand, rel=1e-12)
    theirs = scipy.stats.bootstrap(
        (early, tokens, late, others),
        lambda a, m, b, n, axis: a.sum(axis) / m.sum(axis) - b.sum(axis) / n.sum(axis),
        paired=True,
        vectorized=True,
        n_resamples=20_000,
        method="percentile",
        rng=np.random.default_rng(5),
    ).confidence_interval
    assert 1.0 < (ours.high - ours.low) / (theirs.high - theirs.low) < 1.1


def test_a_difference_of_means_without_tokens_or_with_few_documents_says_so():
    one, none = (np.array([4.0, 6.0]), np.array([2, 3])), (np.zeros(2), np.zeros(2))
    assert "no tokens in one" in difference_of_means(one, none, settings=PLAIN).refused
    few = difference_of_means(one, (np.array([1.0, 3.0]), np.array([2, 2])), settings=PLAIN)
    assert (few.value, few.low, few.high) == (1.0, None, None)


def test_the_interval_of_a_ratio_of_regular_documents_is_close_to_scipys_percentile_interval():
    rng = np.random.default_rng(4)
    top, bottom, tokens = rng.normal(2, 1, 80), rng.normal(3, 1, 80), np.full(80, 7)
    ours = fraction(top, bottom, tokens, what="d", settings=Settings(seed=5))
    theirs = scipy.stats.bootstrap(
        (top, bottom),
        lambda a, b, axis: a.sum(axis) / b.sum(axis),
        paired=True,
        vectorized=True,
        n_resamples=20_000,
        method="percentile",
        rng=np.random.default_rng(5),
    ).confidence_interval
    # t with 79 degrees of freedom and the unbiased spread are 1.022 times as wide as percentiles.
    assert ours.high - ours.low == pytest.approx(1.022 * (theirs.high - theirs.low), rel=0.03)
    assert ours.low == pytest.approx(theirs.low, abs=0.01)
    assert ours.high == pytest.approx(theirs.high, abs=0.01)


def test_the_ends_of_a_normal_bootstrap_distribution_are_those_of_the_t_interval():
    # The bootstrap's variance of a mean is (n−1)/n of the unbiased one; with the unbiased
    # standard error as the unit, the ends must be the quantiles of t with n−1 degrees of freedom.
    for n in (5, 12, 200):
        grid = (np.arange(400_000) + 0.5) / 400_000
        distribution = scipy.stats.norm.ppf(grid) * math.sqrt((n - 1) / n)
        low, high = stats.ends(distribution, 0.0, np.ones(n), 0.95)
        assert high == pytest.approx(scipy.stats.t.ppf(0.975, n - 1), rel=2e-3)
        assert low == pytest.approx(-high)


def test_the_interval_of_a_ratio_agrees_with_the_delta_method():
    rng = np.random.default_rng(6)
    n = 300
    bottom = rng.normal(5, 1, n)
    top = 0.6 * bottom + rng.normal(0, 1, n)
    ratio = top.sum() / bottom.sum()
    error = math.sqrt(n / (n - 1) * ((top - ratio * bottom) ** 2).sum()) / bottom.sum()
    number = fraction(top, bottom, np.ones(n), what="d", settings=Settings(resamples=20_000))
    # A 2.5% quantile of 20,000 draws has a relative standard error of about 1%.
    assert number.high - number.low == pytest.approx(2 * 1.968 * error, rel=0.04)


def _coverage(level: float) -> tuple[tuple[float, int], tuple[float, int]]:
    """Coverage of a mean and of a fraction, and out of how many: 60 heavy-tailed documents."""
    rng = np.random.default_rng(20)
    chosen = Settings(level=level, resamples=1000)
    means, shares = [], []
    for _ in range(600):
        tokens = np.round(np.exp(rng.normal(6, 0.8, 60)))
        damage = tokens * (0.02 + 0.01 * rng.standard_t(3, 60))
        regained = 0.7 * damage + tokens * 0.004 * rng.standard_t(3, 60)
        mean = mean_per_token(damage, tokens, settings=chosen)
        share = fraction(regained, damage, tokens, what="damage", settings=chosen)
        means.append(mean.low <= 0.02 <= mean.high)
        if share.value is not None:
            shares.append(share.low <= 0.7 <= share.high)
    return (np.mean(means), len(means)), (np.mean(shares), len(shares))


def test_intervals_hold_the_truth_as_often_as_they_say():
    def slack(count: int) -> float:
        return 4 * math.sqrt(0.95 * 0.05 / count)

    for coverage, count in _coverage(0.95):
        assert abs(coverage - 0.95) < slack(count)
    for coverage, count in _coverage(0.85):  # the check must be able to fail
        assert abs(coverage - 0.95) > slack(count)


def test_noise_is_taken_for_a_denominator_about_as_often_as_the_level_says():
    rng = np.random.default_rng(7)
    chosen, repetitions = Settings(resamples=1000), 1000
    taken = 0
    for _ in range(repetitions):
        noise = rng.normal(0, 1, 60)
        number = fraction(noise, noise, np.full(60, 100), what="d", settings=chosen)
        taken += "within noise" not in number.refused
    # Distinguishably negative counts too: it is the other tail of the same 5%.
    assert abs(taken / repetitions - 0.05) < 4 * math.sqrt(0.05 * 0.95 / repetitions)


def test_a_planted_denominator_is_not_refused():
    rng = np.random.default_rng(8)
    # Six standard errors from zero: one refusal in 30,000 by chance.
    for _ in range(200):
        planted = rng.normal(6 / math.sqrt(60), 1, 60)
        assert fraction(planted, planted, np.ones(60), what="d", settings=PLAIN).value == 1.0


def test_with_the_tokens_that_were_asked_for_four_in_five_repetitions_resolve():
    rng = np.random.default_rng(9)
    sample = rng.normal(0, 1, 60)
    sample += 0.12 - sample.mean()
    tokens = np.full(60, 100)
    refused = fraction(sample, sample, tokens, what="d", settings=PLAIN)
    assert refused.tokens_needed > tokens.sum()
    documents = round(refused.tokens_needed / 100)
    chosen, repetitions = Settings(resamples=1000), 300

    def resolved(count: int) -> float:
        draws = (rng.choice(sample, count) for _ in range(repetitions))
        found = (mean_per_token(draw, np.full(count, 100), settings=chosen) for draw in draws)
        return sum(number.low > 0 for number in found) / repetitions

    slack = 4 * math.sqrt(0.8 * 0.2 / repetitions)
    assert abs(resolved(documents) - 0.8) < slack
    assert resolved(documents // 4) < 0.8 - slack  # the check must be able to fail


entries = st.integers(-(10**9), 10**9).map(lambda thousandths: thousandths / 1000)


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 12).flatmap(
        lambda n: st.tuples(
            arrays(float, n, elements=entries),
            arrays(float, n, elements=entries),
            arrays(np.int64, n, elements=st.integers(0, 50)),
        )
    )
)
def test_a_fraction_is_refused_with_a_reason_or_has_two_finite_ends(data):
    top, bottom, tokens = data
    top, bottom = top * (tokens > 0), bottom * (tokens > 0)
    number = fraction(top, bottom, tokens, what="d", settings=Settings(resamples=200))
    if number.value is None:
        assert number.refused
        assert number.low is number.high is None
    else:
        assert not number.refused
        assert all(math.isfinite(x) for x in (number.value, number.low, number.high))
        assert number.low <= number.value <= number.high


def test_a_denominator_that_barely_stands_leaves_both_ends_finite():
    rng = np.random.default_rng(0)
    wide = nothing = 0
    for _ in range(400):
        bottom, tokens = rng.normal(2.3 / math.sqrt(40), 1, 40), np.full(40, 10)
        number = fraction(bottom + rng.normal(0, 1, 40), bottom, tokens, what="d", settings=PLAIN)
        if number.value is not None:
            wide += number.high - number.low > 10
            assert math.isfinite(number.low) and math.isfinite(number.high)
            assert max(number.value - number.low, number.high - number.value) <= 20 * max(
                1, abs(number.value)
            )  # of fewer than 48 documents
        nothing += "says nothing" in number.refused
    assert wide > 2 and nothing > 5, "no hard case was tried"


def test_an_interval_is_never_short_of_its_value():
    assert stats.ends(np.ones(100), 0.5, np.ones(9), 0.95) == (0.5, 1.0)
    assert stats.ends(np.ones(100), 1.5, np.ones(9), 0.95) == (1.0, 1.5)


def test_the_tokens_needed_are_never_fewer_than_there_are():
    # Mean 8/5, se sqrt(3.2/20) = 0.4: four standard errors, where by normal quantiles fewer would do.
    totals = np.array([2.0, 2, 2, 2, 0])
    wary = Settings(level=0.99, resamples=20_000)
    refused = fraction(totals, totals, np.full(5, 10), what="d", settings=wary)
    assert refused.value is None
    assert refused.tokens_needed >= 50


def test_resamples_without_tokens_of_the_kind_are_left_out():
    # Five documents of 400 have such tokens: some resamples draw none of them.
    tokens = np.zeros(400)
    tokens[:5] = 10
    assert (stats.resampled(PLAIN, tokens)[0] == 0).any()
    number = mean_per_token(tokens * np.linspace(0, 1, 400), tokens, settings=PLAIN)
    assert number.low <= number.value <= number.high


def test_a_difference_is_paired_by_document():
    rng = np.random.default_rng(1)
    a, tokens = rng.normal(300, 100, 50), np.full(50, 100)
    steady = difference_per_token(a + 1, a, tokens, settings=PLAIN)
    assert steady.value == pytest.approx(0.01, rel=1e-9)
    # What is left of its scatter is rounding, and says nothing of other documents.
    assert steady.low is steady.high is None
    alone = mean_per_token(a, tokens, settings=PLAIN)
    assert alone.high - alone.low > 0.1


def test_a_mean_and_a_fraction_rest_on_no_draws_and_a_resample_on_its_seed():
    rng = np.random.default_rng(2)
    top, bottom, tokens = rng.normal(1, 1, 50), rng.normal(3, 1, 50), np.full(50, 10)
    one, other = Settings(seed=1), Settings(seed=2)
    assert mean_per_token(top, tokens, settings=one) == mean_per_token(top, tokens, settings=other)
    assert fraction(top, bottom, tokens, what="d", settings=one) == fraction(
        top, bottom, tokens, what="d", settings=other
    )
    assert (stats.resampled(one, top) != stats.resampled(other, top)).any()
    np.testing.assert_array_equal(stats.resampled(one, top), stats.resampled(one, top))


def test_a_higher_level_gives_a_wider_interval():
    rng = np.random.default_rng(2)
    top, tokens = rng.normal(1, 1, 50), np.full(50, 10)
    wide = mean_per_token(top, tokens, settings=Settings(level=0.99))
    narrow = mean_per_token(top, tokens, settings=Settings(level=0.8))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_arguments_are_left_as_they_were():
    rng = np.random.default_rng(2)
    given_arrays = [rng.normal(1, 1, 50), rng.normal(2, 1, 50), np.full(50, 10)]
    before = [array.copy() for array in given_arrays]
    fraction(*given_arrays, what="d", settings=PLAIN)
    for array, copy in zip(given_arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_an_error_that_says_where(bad):
    damage = np.array([1.0, 2, bad, 1, 2, bad])
    with pytest.raises(MeasurementError, match=r"denominator is NaN or infinite in 2 of them.* 2"):
        fraction(np.ones(6), damage, np.ones(6), what="d", settings=PLAIN)


def test_columns_that_do_not_fit_are_an_error():
    with pytest.raises(MeasurementError, match=r"total has shape \(3,\)"):
        mean_per_token(np.ones(3), np.ones(4), settings=PLAIN)
    with pytest.raises(MeasurementError, match="negative number of tokens"):
        mean_per_token(np.ones(2), np.array([3, -1]), settings=PLAIN)


@pytest.mark.parametrize("wrong", [{"level": 95}, {"level": 0.0}, {"resamples": 39}])
def test_settings_that_cannot_give_an_interval_are_refused(wrong):
    with pytest.raises(MeasurementError, match="Intervals at level"):
        Settings(**wrong)
    assert Settings(resamples=40).resamples == 40


def test_what_rounds_to_nothing_has_no_sign() -> None:
    number = Number(value=-0.00001, low=-0.04, high=1234.5)
    assert written(number, spec=",.1f", mark="%") == "0.0% [0.0%, 1,234.5%]"
    assert written(Number(value=-0.06), spec=".1f") == "−0.1"
