"""Intervals of ratios against theorems, other libraries, planted documents, and by hand."""

import math

import numpy as np
import pytest
import scipy.stats
from scipy.special import ndtri
from scipy.stats import lmoment

from unexplained import intervals
from unexplained.stats import Settings, fraction, mean_per_token

PLAIN = Settings()


def share(top, bottom, tokens):
    return fraction(top, bottom, tokens, what="damage", settings=PLAIN)


def mirrored(documents, seed=0):
    """Columns whose every combination is symmetric: no tails, so that Student's t stands as it is."""
    rng = np.random.default_rng(seed)
    off = rng.normal(0, 1, (2, documents // 2))
    top, bottom = np.array([[3.0], [5.0]]) + np.concatenate([off, -off], axis=1)
    return top, bottom


def test_without_tails_the_interval_of_a_ratio_is_fiellers():
    top, bottom = mirrored(60)
    n, t = 60, scipy.stats.t.ppf(0.975, 59)
    (aa, ab), (_, bb) = np.cov(top, bottom) / n
    a, b = top.mean(), bottom.mean()
    # (a − r b)² = t² (aa − 2 r ab + r² bb), Fieller 1954.
    ends = np.roots([b**2 - t**2 * bb, -2 * (a * b - t**2 * ab), a**2 - t**2 * aa])
    found = share(top, bottom, np.full(n, 9))
    # Beside the damage, at least the mean, what is left is not mirrored: by so little.
    assert (found.low, found.high) == pytest.approx(sorted(ends), rel=5e-4)
    assert found.low == pytest.approx(min(ends), rel=1e-7)  # on the other side nothing


def test_without_tails_the_interval_of_a_mean_is_students():
    top, _ = mirrored(40)
    found = mean_per_token(top, np.ones(40), settings=PLAIN)
    low, high = scipy.stats.ttest_1samp(top, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-12)


def test_l_moments_are_scipys():
    x = np.random.default_rng(0).lognormal(0, 1, (3, 29))
    ours = np.stack(intervals.l_moments(x))
    theirs = lmoment(x, axis=1, order=[1, 2, 3], standardize=False)
    np.testing.assert_allclose(ours, theirs, rtol=1e-10)


def test_what_is_lost_without_a_document_is_that():
    total, tokens = np.array([3.0, 1, 4, 1, 5]), np.array([2.0, 7, 1, 8, 2])
    for i in range(5):
        rest = np.delete(total, i).sum() / np.delete(tokens, i).sum()
        lost = total.sum() / tokens.sum() - rest
        assert intervals.left_out(total, tokens)[i] == pytest.approx(lost, rel=1e-12)


def test_the_lengthening_by_hand():
    # 0, 0, 0, 0, 10 in mean-free form: sample L-moments l2 = 2, l3 = 2 (b0 = 2, b1 = 2, b2 = 2),
    # so τ = 1; γ = (8³ − 4·2³)/5 / ((8² + 4·2²)/5)^1.5 = 96/64 = 1.5, and n = 5.
    falls = np.array([-2.0, -2, -2, -2, 8])
    below, above = intervals.lengthening(falls, np.ones(5), divided=0.0)
    assert above == pytest.approx(max(26 / math.sqrt(5), 1.5**2 / 32), rel=1e-12)
    assert below == pytest.approx(-0.3, rel=1e-12)
    _, wary = intervals.lengthening(falls, np.ones(5), divided=1.0)
    assert wary == pytest.approx(26 / math.sqrt(5) + 1400 / 64, rel=1e-12)


def test_the_more_cautious_of_sums_and_rates_counts():
    # Rates are skewed to the left, lengths to the right: sums alone would look harmless.
    rng = np.random.default_rng(3)
    tokens = np.exp(rng.normal(0, 0.8, 200))
    sums = tokens * (2 - rng.lognormal(-0.5, 1, 200))
    falls = intervals.left_out(sums, tokens)
    alone = intervals.lengthening(falls, np.ones(200), divided=0.0)[0]
    assert intervals.lengthening(falls, tokens, divided=0.0)[0] > alone + 0.05


def test_the_ends_of_a_ratio_move_apart_with_the_tails_of_its_denominator():
    def factor(values):
        return float(intervals.apart(np.asarray(values), np.ones(len(values))))

    grid = (np.arange(48) + 0.5) / 48
    assert factor(ndtri(grid)) == pytest.approx(1, abs=1e-6)
    assert factor(np.exp(0.5 * ndtri(grid))) < 1.02
    assert factor(np.exp(2 * ndtri(grid))) > 3
    # The same tail toward 0 counts for much more; and so does any tail of few documents.
    assert factor(-np.exp(0.5 * ndtri(grid))) > 1.5
    assert factor(np.exp(0.5 * ndtri((np.arange(12) + 0.5) / 12))) > 1.5


def noisy(documents, seed):
    rng = np.random.default_rng(seed)
    tokens = rng.integers(50, 400, documents)
    bottom = tokens * rng.lognormal(0, 0.6, documents)
    return bottom * rng.uniform(0.4, 0.9, documents), bottom, tokens


@pytest.mark.parametrize(("documents", "seed"), [(16, 0), (48, 1), (135, 2)])
def test_an_interval_turns_with_its_question(documents, seed):
    top, bottom, tokens = noisy(documents, seed)
    one = share(top, bottom, tokens)
    width = one.high - one.low
    order = np.random.default_rng(9).permutation(documents)
    same = share(top[order], bottom[order], tokens[order])
    scaled = share(7 * top, 7 * bottom, 3 * tokens)
    other = share(bottom - top, bottom, tokens)
    near = {"rel": 0, "abs": 1e-6 * width}
    assert (same.low, same.high) == pytest.approx((one.low, one.high), **near)
    assert (scaled.low, scaled.high) == pytest.approx((one.low, one.high), **near)
    # What is not recovered is 1 less what is.
    assert (1 - other.high, 1 - other.low) == pytest.approx((one.low, one.high), **near)
    tripled = share(3 * top, bottom, tokens)
    assert (tripled.low, tripled.high) == pytest.approx((3 * one.low, 3 * one.high), **near)


def test_a_document_without_tokens_changes_nothing():
    top, bottom, tokens = noisy(30, 4)
    with_none = (np.append(column, 0) for column in (top, bottom, tokens))
    assert share(*with_none) == share(top, bottom, tokens)


def texts(draw, count, documents, seed=0):
    rng = np.random.default_rng(seed)
    return [draw(rng, documents) for _ in range(count)]


def worse_where_large(sigma):
    """Lognormal damage, 90% explained where it is small and 20% where it is large."""

    def draw(rng, documents):
        z = rng.standard_normal(documents)
        damage = np.exp(sigma * z)
        part = 0.9 - 0.7 * scipy.stats.norm.cdf(z)
        return part * damage + 0.05 * rng.standard_normal(documents), damage

    # E[Φ(z) e^{σz}] = e^{σ²/2} Φ(σ/√2), so this is exact.
    return draw, 0.9 - 0.7 * float(scipy.stats.norm.cdf(sigma / math.sqrt(2)))


@pytest.mark.parametrize(
    ("sigma", "documents"), [(0.5, 8), (1.0, 8), (2.0, 8), (1.5, 16), (2.0, 16), (2.0, 48)]
)
def test_intervals_hold_where_large_damages_are_explained_worse(sigma, documents):
    draw, truth = worse_where_large(sigma)
    held = []
    for top, bottom in texts(draw, 400, documents):
        found = share(top, bottom, np.ones(documents))
        if found.value is not None:
            held.append(found.low <= truth <= found.high)
    assert len(held) > 40
    # 93% asked, three binomial standard errors of room.
    assert np.mean(held) > 0.93 - 3 * math.sqrt(0.93 * 0.07 / len(held))


@pytest.mark.parametrize("documents", [8, 16, 48])
@pytest.mark.parametrize("sigma", [1.0, 2.0])
def test_nothing_that_is_skewed_to_the_left_is_seldom_taken_for_a_denominator(sigma, documents):
    def draw(rng, count):
        return math.exp(sigma**2 / 2) - rng.lognormal(0, sigma, count), None

    found = [share(empty, empty, np.ones(documents)) for empty, _ in texts(draw, 500, documents)]
    taken = np.mean([number.value is not None for number in found])
    assert taken < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 500)


def test_regular_documents_pay_next_to_nothing():
    widths = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        bottom = rng.normal(3, 1, 48)
        top = 0.6 * bottom + rng.normal(0, 0.5, 48)
        found = share(top, bottom, np.ones(48))
        residual = top - found.value * bottom
        plain = 2 * 2.012 * math.sqrt(48 / 47 * (residual**2).sum()) / bottom.sum()
        widths.append((found.high - found.low) / plain)
    assert np.median(widths) < 1.05
    assert np.quantile(widths, 0.95) < 1.15


def test_tails_that_forbid_a_ratio_are_named():
    # Told from 0 as a mean, at eight documents, but not as something to divide by.
    bottom = np.array([1.0, 1.1, 0.9, 1.05, 0.95, 1.0, 0.5, 1.1])
    size = mean_per_token(bottom, np.ones(8), settings=PLAIN)
    found = share(bottom / 2 + np.arange(8) / 50, bottom, np.ones(8))
    assert size.low > 0
    assert found.value is None
    assert "too little above zero" in found.refused
    assert found.tokens_needed is None
    assert "of 8 counts for 14% of it" in found.refused


def test_a_share_of_independent_tokens_has_clopper_and_pearsons_interval() -> None:
    """One token in every document: independent draws, and 2,000 documents make t as good as normal."""
    right = np.zeros(2000)
    right[:1700] = 1
    found = intervals.of_share(right, np.ones(2000), 0.95)
    exact = scipy.stats.binomtest(1700, 2000).proportion_ci(0.95, method="exact")
    assert found == pytest.approx((exact.low, exact.high), abs=3e-4)
    few = intervals.of_share(right[::100], np.ones(20), 0.95)
    exact = scipy.stats.binomtest(17, 20).proportion_ci(0.95, method="exact")
    assert few[0] < exact.low and few[1] >= exact.high  # the spread of 20 is an estimate itself
    # By hand: p (1 − p) / se² is n − 1 here, times the square of normal over Student quantile.
    count = 19 * (scipy.stats.norm.ppf(0.975) / scipy.stats.t.ppf(0.975, 19)) ** 2
    low = scipy.stats.beta.ppf(0.025, 0.85 * count, 0.15 * count + 1)
    high = scipy.stats.beta.ppf(0.975, 0.85 * count + 1, 0.15 * count)
    assert few == pytest.approx((low, high))


def test_a_share_stays_between_0_and_1_and_mirrors() -> None:
    rng = np.random.default_rng(0)
    tokens = rng.integers(15, 30, 8).astype(float)
    total = np.minimum(tokens, np.maximum(tokens - rng.integers(0, 3, 8), 0))
    low, high = intervals.of_share(total, tokens, 0.95)
    assert 0 < low < total.sum() / tokens.sum() < high < 1
    assert intervals.of_share(tokens - total, tokens, 0.95) == pytest.approx((1 - high, 1 - low))
    exact = scipy.stats.binomtest(8, 8).proportion_ci(0.95, method="exact")
    assert intervals.of_share(tokens, tokens, 0.95) == pytest.approx((exact.low, 1.0))
    assert intervals.of_share(0 * tokens, tokens, 0.95) == pytest.approx((0.0, 1 - exact.low))
    # The same everywhere, as of orbits that are right in one role each: as many tokens as there are.
    low, high = intervals.of_share(tokens / 2, tokens, 0.95)
    exact = scipy.stats.binomtest(round(tokens.sum() / 2), int(tokens.sum())).proportion_ci(0.95)
    assert low < exact.low and high > exact.high and low + high == pytest.approx(1)


@pytest.mark.parametrize(("documents", "truth"), [(8, 0.5), (16, 0.9), (30, 0.88), (48, 0.97)])
def test_shares_hold_the_truth_where_documents_differ(documents: int, truth: float) -> None:
    """Every document has a share of its own, beta-distributed: tokens are not independent."""
    rng, held, told = np.random.default_rng(3), 0, 0
    for _ in range(600):
        own = rng.beta(4 * truth, 4 * (1 - truth), documents)
        tokens = rng.integers(5, 40, documents).astype(float)
        low, high = intervals.of_share(
            rng.binomial(tokens.astype(int), own).astype(float), tokens, 0.95
        )
        if low < high:
            told += 1
            held += low <= truth <= high
    assert held / told > 0.93


def test_nothing_but_rounding_is_no_tail() -> None:
    tokens = np.full(6, 10.0)
    denominator = np.full(6, 1.0) + np.array([0, 1e-16, 0, 0, 2e-16, 0])
    numerator = np.array([0.9, 1.0, 0.8, 1.1, 0.7, 1.0])
    low, high = intervals.of_ratio(numerator, denominator, tokens, 0.95)
    assert intervals.shape(denominator) == (0, 0)
    even = intervals.of_ratio(numerator, np.full(6, 1.0), tokens, 0.95)
    assert np.isfinite([low, high]).all() and (low, high) == pytest.approx(even, rel=1e-9)


def test_what_is_printed_of_few_documents_holds_though_the_widest_are_refused() -> None:
    """Chosen by their width, those that are left would hold the truth in 85 of 100 and not in 93."""
    rng, held, refused = np.random.default_rng(1), [], 0
    z = rng.standard_normal((2500, 8))
    damage = np.exp(1.5 * z)
    top = (0.9 - 1.9 * scipy.stats.norm.cdf(z)) * damage + 0.05 * rng.standard_normal(z.shape)
    truth = 0.9 - 1.9 * float(scipy.stats.norm.cdf(1.5 / math.sqrt(2)))
    for numerator, denominator in zip(top, damage, strict=True):
        found = share(numerator, denominator, np.ones(8))
        refused += "says nothing" in found.refused
        if found.value is not None:
            held.append(found.low <= truth <= found.high)
    assert refused > 400 and len(held) > 120
    assert np.mean(held) > 0.93 - math.sqrt(0.93 * 0.07 / len(held))


@pytest.mark.parametrize("documents", [8, 16])
def test_a_weak_denominator_with_a_tail_below_zero_is_not_believed_in_few_documents(
    documents: int,
) -> None:
    """3 − chi-squared, explained otherwise where it is small: of what was printed half was wrong."""
    rng, printed, wrong = np.random.default_rng(2), 0, 0
    many = 3 - rng.chisquare(2, 1_000_000)
    truth = float((_worse(many) * many).mean() / many.mean())
    for _ in range(1500):
        x = 3 - rng.chisquare(2, documents)
        top = _worse(x) * x + rng.normal(0, 0.2, documents)
        found = share(top, x, np.ones(documents))
        if found.value is not None:
            printed += 1
            wrong += not found.low <= truth <= found.high
    assert printed < 0.05 * 1500 or wrong < 0.07 * printed
    assert wrong < 0.02 * 1500


def _worse(x: np.ndarray) -> np.ndarray:
    return np.asarray(0.9 / (1 + np.exp(np.minimum(2 * (x - 1), 50))))


def test_a_tail_that_need_not_show_is_named() -> None:
    tokens, normal = np.ones(16), ndtri((np.arange(16) + 0.5) / 16)
    near = 1 + 0.3 * normal
    near[0], near[-2:] = 0.25, 1.7  # leans to neither side by much
    assert near.min() < 0.3 * near.mean() and near.std(ddof=1) / 4 < near.mean() / 10
    assert 0 < intervals.shape(near)[0] < intervals.LEANS
    found = share(near / 2, near, tokens)
    assert found.value == pytest.approx(0.5)  # far from 0: over 10 standard errors
    weak = 1 + 0.55 * np.where(normal > 1, 1.2, 1.0) * normal  # leans a little away from 0
    assert 0 < intervals.shape(weak)[0] < intervals.LEANS
    size = mean_per_token(weak, tokens, settings=PLAIN)
    assert size.low > 0 and intervals.divides(weak, tokens, 0.95)
    found = share(weak / 2, weak, tokens)
    assert found.value is None and "a tail below zero need not show" in found.refused
    assert "the least of them at −" in found.refused and "32 documents" in found.refused
    # A tail to either side is in sight; and 32 documents would show it.
    right = np.array([*np.full(13, 0.8), 2.0, 2.5, 0.1])
    assert not intervals.hides_tail(right, tokens) and not intervals.hides_tail(2 - right, tokens)
    assert not intervals.hides_tail(np.tile(weak, 2), np.ones(32))
    # No share of tokens lies far below 0.
    told = {"what": "d", "settings": PLAIN, "unit": "share"}
    found = fraction(2 * weak, 4 * weak, 10 * tokens, **told)
    assert found.value is not None


def test_documents_of_unequal_length_are_worth_fewer_in_the_interval_of_a_share() -> None:
    """Half of every document, and a token more or less: by hand, with t for as many as they are worth."""
    tokens = np.array([80.0, 40, 40, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20])
    right = tokens / 2 + np.tile([1.0, -1.0], 8)
    worth = tokens.sum() ** 2 / (tokens @ tokens)
    assert 0.65 * 16 < worth < 0.75 * 16  # so that the interval of a mean counts too
    whole, share = tokens.sum(), right.sum() / tokens.sum()
    falls = share - (right.sum() - right) / (whole - tokens)
    error = math.sqrt(15 / 16 * (falls @ falls))
    low, high = intervals.of_share(right, tokens, 0.95)
    student = scipy.stats.t.ppf(0.975, worth - 1)
    count = min(share * (1 - share) / error**2, whole)
    count *= (scipy.stats.norm.ppf(0.975) / student) ** 2
    exact = (
        scipy.stats.beta.ppf(0.025, share * count, (1 - share) * count + 1),
        scipy.stats.beta.ppf(0.975, share * count + 1, (1 - share) * count),
    )
    mean = intervals.of_mean(right, tokens, 0.95)
    times = student / scipy.stats.t.ppf(0.975, 15)
    assert times > 1.02
    ends = [share + times * (end - share) for end in mean]
    assert (low, high) == pytest.approx((min(exact[0], ends[0]), max(exact[1], ends[1])))


def test_a_ratio_is_tested_as_its_denominator_only_so_far_as_it_varies_by_it() -> None:
    """A lopsided rest over a denominator that hardly varies: the greater correction is not asked for."""
    rest = np.array([-2.0, -1, -1, -1, 0, 0, 1, 4])  # of sum 0, so that the ratio is a half
    tokens, even = np.ones(8), np.tile([1.0, -1.0], 4)
    falls = intervals.left_out(rest, tokens)
    lesser, greater = (intervals.lengthening(falls, tokens, divided=part)[1] for part in (0.0, 1.0))
    assert greater > lesser + 3
    _, high = intervals.of_ratio(rest + 50, 100 + 1e-3 * even, tokens, 0.95)
    # t · se · exp(lesser), or what the tail of the rest asks for, and `FLOOR_SCANTY` as it is of 8 documents.
    error = math.sqrt(7 / 8 * (falls**2).sum()) / 100
    right = (
        intervals.quantile(8, 0.95)
        * error
        * math.exp(max(lesser, intervals.MOST_ASIDE_SCANTY) + intervals.FLOOR_SCANTY)
    )
    assert high - 0.5 == pytest.approx(right, rel=5e-3)


@pytest.mark.parametrize("documents", [8, 16])
def test_regular_documents_pay_little_though_they_are_few(documents: int) -> None:
    """Of normal damages, cv 0.33, with a plain ratio: 6.4 and 2.0 times Student's width, and it holds."""
    rng, widths, held = np.random.default_rng(8), [], []
    for _ in range(600):
        bottom = rng.normal(3, 1, documents)
        top = 0.6 * bottom + rng.normal(0, 0.5, documents)
        found = share(top, bottom, np.ones(documents))
        if found.value is None:
            continue
        rest = top - found.value * bottom
        error = math.sqrt(documents / (documents - 1) * (rest**2).sum()) / bottom.sum()
        widths.append((found.high - found.low) / (2 * intervals.quantile(documents, 0.95) * error))
        held.append(found.low <= 0.6 <= found.high)
    assert len(held) > 380
    assert np.mean(held) > 0.95
    assert np.median(widths) < (6.8 if documents == 8 else 2.2)


@pytest.mark.parametrize("documents", [12, 16])
def test_what_lacks_a_tail_below_zero_by_luck_is_doubted(documents: int) -> None:
    """2 − exponential, explained otherwise where it is small: of the few printed 80% held."""
    rng = np.random.default_rng(4)
    many = 2 - rng.exponential(1, 2_000_000)
    truth = float((_better(many) * many).mean() / many.mean())
    x = 2 - rng.exponential(1, (12_000, documents))
    lucky = x.min(1) > 0  # of the others next to none is printed; that saves time
    held = []
    for one in x[lucky]:
        top = _better(one) * one + rng.normal(0, 0.2, documents)
        found = share(top, one, np.ones(documents))
        if found.value is not None:
            held.append(found.low <= truth <= found.high)
    assert len(held) > 30
    assert np.mean(held) > 0.93 - 2 * math.sqrt(0.93 * 0.07 / len(held))


def _better(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 - 0.8 * np.exp(-np.maximum(x, 0)))


def test_what_leans_is_doubted_less_unless_it_is_weak_with_documents_below_zero() -> None:
    by_hand = [
        (-0.2, False, 1.0), (0.0, False, 0.5), (0.15, False, 0.0), (0.3, False, 0.0), (0.3, True, 1.0),
    ]  # fmt: skip
    for tau, lucky, right in by_hand:
        assert intervals.doubt(np.array(tau), 16, np.array(lucky)) == pytest.approx(right)
    assert intervals.doubt(np.array(-0.2), 24, np.array(False)) == pytest.approx(1 / 3)
    assert intervals.doubt(np.array(-0.2), 32, np.array(True)) == 0
    # What hardly varies for its size hides nothing that matters.
    still = 1 + 1e-4 * np.arange(16.0)
    assert intervals.apart(still, np.ones(16)) == pytest.approx(1, abs=1e-2)
    # Of 8 documents the numerator may hide a tail all the same.
    assert intervals.apart(still[:8], np.ones(8)) == pytest.approx(math.exp(1.25), rel=1e-2)


def test_noise_in_the_denominator_itself_may_hide_its_tail_in_all_of_few_documents() -> None:
    """Left-skewed noise of the size of a normal damage, opposed: of what was printed 88% held."""
    rng, held = np.random.default_rng(12), []
    sigma = 1.5
    mean, spread = math.exp(sigma**2 / 2), math.sqrt(math.exp(2 * sigma**2) - math.exp(sigma**2))
    damage = rng.normal(1, 0.5, (1000, 8))
    noise = (mean - np.exp(sigma * rng.standard_normal(damage.shape))) / spread
    for top, bottom in zip(0.7 * damage - noise, damage + noise, strict=True):
        found = share(top, bottom, np.ones(8))
        if found.value is not None:
            held.append(found.low <= 0.7 <= found.high)
    assert len(held) > 0.25 * 1000
    assert np.mean(held) > 0.94


def test_a_weak_denominator_without_any_tail_is_doubted_most() -> None:
    """What is weak and regular may be the upper part of something wide: e² at a symmetric one of 24."""
    z = ndtri((np.arange(24) + 0.5) / 24)
    weak, strong = (intervals.apart(1 + cv * z, np.ones(24)) for cv in (0.6, 0.3))
    assert weak == pytest.approx(math.exp(intervals.DOUBT_WEAK), rel=1e-6)
    assert strong == pytest.approx(math.exp(intervals.DOUBT / 2 / 3), rel=1e-6)
    assert intervals.apart(
        1 + 0.6 * ndtri((np.arange(48) + 0.5) / 48), np.ones(48)
    ) == pytest.approx(1)


@pytest.mark.parametrize("documents", [16, 24])
def test_a_tail_that_is_shown_is_believed_and_so_what_is_printed_is_not_luck(
    documents: int,
) -> None:
    """Normal damage with left-skewed noise of its own size, shared: 83% held of the few that lacked the tail."""
    rng, held = np.random.default_rng(documents), []
    for _ in range(500):
        noise = (math.exp(0.5) - np.exp(rng.standard_normal(documents))) / math.sqrt(
            math.e**2 - math.e
        )
        damage = 1 + 0.5 * rng.standard_normal(documents)
        found = share(0.7 * damage + noise, damage + noise, np.ones(documents))
        if found.value is not None:
            held.append(found.low <= 0.7 <= found.high)
    assert len(held) > 0.2 * 500
    assert np.mean(held) > 0.93


def test_documents_are_worth_as_many_as_their_sums_are_alike() -> None:
    """By hand: sums as unequal as lengths, and alike in spite of them."""
    signs, tokens = np.tile([1.0, -1.0], 10), np.repeat([10.0, 1.0], 10)
    rates = np.tile([1.0, -1.0, 3.0, -3.0, 0.0], 4)  # the same at both lengths
    kish = tokens.sum() ** 2 / (tokens @ tokens)
    for power, right in ((0.0, kish), (-1.0, 20.0)):
        assert intervals.worth(signs * tokens ** (1 + power), tokens) == pytest.approx(right)
    assert intervals.worth(rates * tokens, tokens) == pytest.approx(kish)
    assert intervals.worth(signs, np.ones(20)) == 20


def test_sums_that_lengths_make_alike_are_divided_by_as_if_they_were_of_one_length() -> None:
    """Damage per token that falls as the length grows: 49% of the texts of 48 were printed, and 87% could be."""
    rng, printed, held = np.random.default_rng(6), 0, []
    for _ in range(200):
        tokens, damage = np.exp(rng.standard_normal(48)), 1 + 0.5 * rng.standard_normal(48)
        found = share(0.7 * damage + 0.3 * tokens * rng.standard_normal(48), damage, tokens)
        if found.value is not None:
            printed += 1
            held.append(found.low <= 0.7 <= found.high)
    assert printed > 0.7 * 200
    assert np.mean(held) > 0.93


def test_few_documents_that_lean_toward_zero_must_be_clearer_of_it() -> None:
    leaning = np.array([0.42, 0.5, 0.9, 1.1, 1.2, 1.25, 1.3, 1.33])
    assert intervals.shape(leaning)[0] < 0 and leaning.min() < 0.5 * leaning.mean()
    assert leaning.mean() < 10 * leaning.std(ddof=1) / math.sqrt(8)
    assert intervals.hides_tail(leaning, np.ones(8))
    assert not intervals.hides_tail(2 * leaning.mean() - leaning, np.ones(8))
