"""Ratios of sums over documents, with intervals, refused by name where they would mean nothing.

Documents are the unit: tokens of one document are not independent of each other. Every quantity
is total over total. Means and fractions have the intervals of `intervals`; what is no plain ratio
resamples documents (`resampled`, `ends`). `docs/statistics.md` gives the reasons, and the
simulations behind the choice of interval.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from unexplained.errors import MeasurementError
from unexplained.intervals import divides, left_out, of_estimate, of_mean, of_ratio, of_share
from unexplained.record.base import Number
from unexplained.record.format import written as written
from unexplained.settings import Settings as Settings

NATS = "nats per token"
SHARE = "share"

FEWEST_DOCUMENTS = 5
"""With fewer documents no interval is given."""

POWER = 0.8
"""The chance of resolving the denominator that `tokens_needed` aims at."""

MOST_TOKENS = 10**15
"""Needs beyond this are not given: no text is so long."""


def mean_per_token(
    total: np.ndarray, tokens: np.ndarray, *, settings: Settings, unit: str = NATS
) -> Number:
    """Give sum(total) / sum(tokens) with its interval.

    The interval is `intervals.of_mean`, of a part of the tokens `of_share`. With fewer than `FEWEST_DOCUMENTS` documents that have
    tokens the value stands without one: nothing is known of how far it would carry.

    Args:
        total: One entry per document: a sum over its tokens (nats for losses).
        tokens: One entry per document: how many tokens; zero where it has none of the kind.
        settings: Level, resamples and seed.
        unit: Unit of the result.

    Raises:
        MeasurementError: Lengths differ, an entry is NaN or infinite, or a count is negative.

    >>> losses, tokens = np.array([20.0, 70.0, 10.0]), np.array([10, 30, 10])
    >>> mean_per_token(losses, tokens, settings=Settings()).value
    2.0
    """
    total, tokens = checked(tokens, total=total)
    if not tokens.any():
        return Number(value=None, unit=unit, refused="there are no tokens here")
    value = float(total.sum() / tokens.sum())
    if np.count_nonzero(tokens) < FEWEST_DOCUMENTS:
        return Number(value=value, unit=unit)
    part = unit == SHARE and bool((total >= 0).all() and (total <= tokens).all())
    low, high = (of_share if part else of_mean)(total, tokens, settings.level)
    return Number(value=value, low=low, high=high, unit=unit)


def difference_per_token(
    a: np.ndarray, b: np.ndarray, tokens: np.ndarray, *, settings: Settings, unit: str = NATS
) -> Number:
    """Give sum(a − b) / sum(tokens), paired by document; see `mean_per_token`.

    >>> a, b, tokens = np.array([21.0, 72.0]), np.array([20.0, 70.0]), np.array([10, 20])
    >>> difference_per_token(a, b, tokens, settings=Settings()).value
    0.1
    """
    a, b, tokens = checked(tokens, a=a, b=b)
    return mean_per_token(a - b, tokens, settings=settings, unit=unit)


def difference_of_means(
    first: tuple[np.ndarray, np.ndarray],
    second: tuple[np.ndarray, np.ndarray],
    *,
    settings: Settings,
    unit: str = NATS,
) -> Number:
    """Give sum(a)/sum(tokens of a) − sum(b)/sum(tokens of b) over the same documents.

    For two parts of the same documents, such as their beginnings and their ends; see
    `mean_per_token`.

    Args:
        first: Totals and tokens of the first part, one entry per document each.
        second: The same of the second part, documents in the same order.
        settings: Level, resamples and seed.
        unit: Unit of the result.

    Raises:
        MeasurementError: As for `mean_per_token`.

    >>> early = np.array([40.0, 80.0]), np.array([10, 20])
    >>> late = np.array([30.0, 30.0]), np.array([10, 10])
    >>> difference_of_means(early, late, settings=Settings()).value
    1.0
    """
    total, tokens = checked(first[1], total=first[0])
    other, others = checked(second[1], total=second[0])
    if not (tokens.any() and others.any()):
        return Number(value=None, unit=unit, refused="there are no tokens in one of the two parts")
    value = float(total.sum() / tokens.sum() - other.sum() / others.sum())
    rarer = min(tokens, others, key=np.count_nonzero)
    if np.count_nonzero(rarer) < FEWEST_DOCUMENTS:
        return Number(value=value, unit=unit)
    falls = left_out(total, tokens) - left_out(other, others)
    low, high = of_estimate(
        value, falls, tokens + others, settings.level, documents=int(np.count_nonzero(rarer))
    )
    return Number(value=value, low=low, high=high, unit=unit)


def fraction(
    numerator: np.ndarray,
    denominator: np.ndarray,
    tokens: np.ndarray,
    *,
    what: str,
    settings: Settings,
    unit: str = NATS,
    if_negative: str = "a share of it means nothing",
    floor: float = 0.0,
) -> Number:
    """Give sum(numerator) / sum(denominator) with its interval, or say why there is none.

    It is refused when the denominator's own interval contains 0, when the denominator is
    distinguishably negative, when its documents are so few or so unequal that no interval would
    hold, and when fewer than `FEWEST_DOCUMENTS` documents have tokens. It is
    never clipped: below 0 and above 1 are findings. An identity holds without statistics:
    numerator and denominator equal in every document give exactly 1, a numerator of 0 in every
    document exactly 0, provided that the denominator stands.

    The interval is `intervals.of_ratio`. It misleads where what decides is in so few documents
    that the text may have none of them: of n documents, in fewer than about 3 in n.

    Args:
        numerator: One sum per document.
        denominator: One sum per document.
        tokens: Tokens per document, for stating the denominator and how many it would take.
        what: Name of the denominator, for the refusal: `damage of 'mean'`.
        settings: Level, resamples and seed.
        unit: Unit of the denominator per token.
        if_negative: What a negative denominator tells, for the refusal.
        floor: Below this per token the denominator is rounding, however regular.

    Raises:
        MeasurementError: As for `mean_per_token`.

    >>> damage, tokens = np.array([2.0, 3.0, 1.0, 2.0, 2.0]), np.full(5, 10)
    >>> fraction(damage, damage, tokens, what="damage", settings=Settings()).value
    1.0
    >>> noise = np.array([-2.0, 3.0, -1.0, 2.0, -2.0])
    >>> fraction(noise, noise, tokens, what="damage", settings=Settings()).refused
    'the denominator (damage) is 0 [−0.22, 0.75] nats per token, within noise of zero'
    """
    numerator, denominator, tokens = checked(tokens, numerator=numerator, denominator=denominator)
    size = mean_per_token(denominator, tokens, settings=settings, unit=unit)
    refusal = _refusal(size, denominator, tokens, what, settings.level, if_negative)
    if refusal is None and (size.value or 0.0) < floor:
        why = f"the denominator ({what}) is {written(size)} {size.unit}: rounding, below {floor:g}"
        return Number(value=None, unit=SHARE, refused=why)
    identity = _identity(numerator, denominator)
    # An identity needs no interval, only a denominator that is not known to be nothing.
    unmeasured = size.low is None and size.value is not None and size.value > 0
    if identity is not None and (refusal is None or unmeasured):
        return identity
    if refusal is not None:
        return refusal
    low, high = of_ratio(numerator, denominator, tokens, settings.level)
    value = float(numerator.sum() / denominator.sum())
    return Number(value=value, low=low, high=high, unit=SHARE)


def _refusal(
    size: Number,
    denominator: np.ndarray,
    tokens: np.ndarray,
    what: str,
    level: float,
    if_negative: str,
) -> Number | None:
    """Why a denominator of this size per token cannot be divided by; None where it can."""
    if size.value is None:
        return Number(value=None, unit=SHARE, refused=size.refused)
    if size.low is None or size.high is None:
        count = np.count_nonzero(tokens)
        few = f"too few documents for an interval ({count}; it takes {FEWEST_DOCUMENTS})"
        return Number(value=None, unit=SHARE, refused=few)
    stated = f"the denominator ({what}) is {written(size)} {size.unit}"
    if size.high < 0:
        return Number(value=None, unit=SHARE, refused=f"{stated}: {if_negative}")
    if size.low > 0 and divides(denominator, tokens, level):
        return None
    if size.low > 0:
        # How many tokens tails would take cannot be told from documents that hardly show them.
        refused = f"{stated}, {_tails(denominator, tokens)}"
        return Number(value=None, unit=SHARE, refused=refused)
    needed = _tokens_needed(denominator, tokens, level)
    refused = f"{stated}, within noise of zero"
    return Number(value=None, unit=SHARE, refused=refused, tokens_needed=needed)


def _tails(denominator: np.ndarray, tokens: np.ndarray) -> str:
    """Why a denominator that is not within noise of zero still cannot be divided by."""
    count = np.count_nonzero(tokens)
    largest = np.abs(denominator).max() / denominator.sum()
    return (
        f"too little above zero for documents so few or so unequal (the largest of {count} "
        f"counts for {largest:.0%} of it): no interval of a ratio would hold"
    )


def p_value(total: np.ndarray, tokens: np.ndarray) -> float:
    """Two-sided p-value that sum(total) / sum(tokens) has expectation 0, documents independent.

    A t test on the linearised ratio; with equally many tokens in every document it is the one
    sample t test of the documents' totals. 1 where nothing varies and the sum is 0.

    Args:
        total: One entry per document.
        tokens: One entry per document; those without tokens do not count as documents.

    Raises:
        MeasurementError: As for `mean_per_token`, or there are fewer than two documents.
    """
    total, tokens = checked(tokens, total=total)
    n = np.count_nonzero(tokens)
    if n < 2:
        raise MeasurementError("A p-value", f"it needs two documents and there are {n}")
    mean, error = total.sum() / tokens.sum(), standard_error(total, tokens)
    if error == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * stdtr(n - 1, -abs(mean) / error))


def standard_error(total: np.ndarray, tokens: np.ndarray) -> float:
    """Linearised standard error of sum(total) / sum(tokens), documents drawn independently."""
    n = np.count_nonzero(tokens)
    mean = total.sum() / tokens.sum()
    spread = ((total - mean * tokens) ** 2).sum() * n / (n - 1)
    return float(math.sqrt(spread) / tokens.sum())


def checked(tokens: np.ndarray, **columns: np.ndarray) -> tuple[np.ndarray, ...]:
    """The columns and the tokens as floats, in that order."""
    named = {**columns, "tokens": tokens}
    for name, column in named.items():
        asked = f"A ratio of sums over {np.size(tokens)} documents"
        if np.ndim(column) != 1 or np.size(column) != np.size(tokens):
            found = f"{name} has shape {np.shape(column)}"
            raise MeasurementError(asked, found, "Give one entry per document.")
        if not np.isfinite(column).all():
            bad = np.flatnonzero(~np.isfinite(column))
            found = f"{name} is NaN or infinite in {bad.size} of them, first at place {bad[0]}"
            raise MeasurementError(asked, found, "Measure those documents again.")
    if (np.asarray(tokens) < 0).any():
        raise MeasurementError("A ratio of sums", "a document has a negative number of tokens")
    return tuple(np.asarray(column, dtype=np.float64) for column in named.values())


def _identity(numerator: np.ndarray, denominator: np.ndarray) -> Number | None:
    if not numerator.any():
        return Number(value=0.0, low=0.0, high=0.0, unit=SHARE)
    if np.array_equal(numerator, denominator):
        return Number(value=1.0, low=1.0, high=1.0, unit=SHARE)
    return None


@lru_cache(maxsize=2)
def times_drawn(documents: int, resamples: int, seed: int) -> np.ndarray:
    """How often each document is in each resample: (resample, document).

    The draws are those of `scipy.stats.bootstrap(..., rng=seed)`. Keeping them turns every
    further number into one small matrix product, 20 times as fast as drawing again.
    """
    rng = np.random.default_rng(seed)
    drawn = np.empty((resamples, documents))
    for row in drawn:
        row[:] = np.bincount(rng.integers(0, documents, documents), minlength=documents)
    drawn.flags.writeable = False
    return drawn


def resampled(settings: Settings, *columns: np.ndarray) -> np.ndarray:
    """Sum of each column in each resample of the documents, (column, resample).

    Columns that are resampled by one call, or by several with the same settings, are paired.
    """
    drawn = times_drawn(columns[0].size, settings.resamples, settings.seed)
    sums: np.ndarray = (drawn @ np.stack(columns, axis=1)).T
    return sums


def ends(
    distribution: np.ndarray, value: float, tokens: np.ndarray, level: float
) -> tuple[float, float]:
    """Ends of the expanded percentile interval: order statistics, never short of the value.

    The plain percentile interval is too short by sqrt((n−1)/n) and uses normal instead of t
    quantiles; the expanded one (Hesterberg, The American Statistician 69, 2015, 371–386) moves
    the tail so that the interval of a mean of normal documents is the t interval.
    """
    n = np.count_nonzero(tokens)
    tail = float(ndtr(math.sqrt(n / (n - 1)) * stdtrit(n - 1, (1 - level) / 2)))
    # No interpolation: an infinite ratio next to the end must not leak into it.
    cut, last = math.floor(tail * (distribution.size - 1)), distribution.size - 1
    ordered = np.sort(distribution)
    return min(value, float(ordered[cut])), max(value, float(ordered[last - cut]))


def _tokens_needed(total: np.ndarray, tokens: np.ndarray, level: float) -> int | None:
    """Tokens for a mean to be told from 0 with `POWER`, rounded up to two digits; None at mean 0.

    tokens · ((z_level + z_power) · se / |mean|)², where se is the linearised standard error of a
    ratio of sums over documents. The present mean and spread are taken at their word, so this is
    an order of magnitude, not a promise, and where tails stand in the way it is least of all.
    """
    mean = abs(total.sum() / tokens.sum())
    if mean == 0:
        return None
    error = standard_error(total, tokens)
    reach = float(ndtri(1 - (1 - level) / 2) + ndtri(POWER))
    needed = float(tokens.sum() * (reach * error / mean) ** 2)
    if needed > MOST_TOKENS:
        return None
    # A skewed denominator can be refused although the formula says that there are enough.
    whole = max(math.ceil(needed), math.ceil(tokens.sum()))
    step: int = 10 ** max(len(str(whole)) - 2, 0)
    rounded: int = -(-whole // step) * step
    return rounded
