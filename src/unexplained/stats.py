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
from scipy.special import ndtr, stdtrit

from unexplained.errors import MeasurementError
from unexplained.intervals import (
    left_out,
    of_estimate,
    of_mean,
    of_ratio,
    of_share,
    says_nothing,
    unseen,
)
from unexplained.ledger import NATS as NATS
from unexplained.record.base import Number
from unexplained.record.format import written as written
from unexplained.refusals import SHARE, hidden_tail, refusal, rounding, standard_error, too_wide
from unexplained.settings import Settings as Settings
from unexplained.sums import FEWEST_DOCUMENTS, checked, require_parts, scaled, too_few, unscaled

__all__ = [
    "FEWEST_DOCUMENTS", "NATS", "SHARE", "Settings", "checked", "difference_of_means",
    "difference_per_token", "ends", "fraction", "mean_per_token", "resampled",
    "standard_error", "tail", "times_drawn", "too_few", "written",
]  # fmt: skip

STILL = "it is the same in every document"


def mean_per_token(
    total: np.ndarray,
    tokens: np.ndarray,
    *,
    settings: Settings,
    unit: str = NATS,
    exact: bool = False,
) -> Number:
    """Give sum(total) / sum(tokens) with its interval.

    The interval is `intervals.of_mean`, of a part of the tokens `of_share`. The value stands without
    one where nothing is known of how far it would carry: of fewer than `FEWEST_DOCUMENTS` documents
    that have tokens, of documents so unequal that one decides, and of documents that do not differ
    at all, unless that is no finding.

    Args:
        total: One entry per document: a sum over its tokens (nats for losses).
        tokens: One entry per document: how many tokens; zero where it has none of the kind.
        settings: Level, resamples and seed.
        unit: Unit of the result. A share is one of tokens, or the difference of two such.
        exact: Whether the value is what it is by construction, as a model's distance from itself: then
            documents that do not differ give an interval without length.

    Raises:
        MeasurementError: Lengths differ, an entry is masked, no real number, NaN or infinite, a count is
            negative, a document without tokens has a total, or a share counts more tokens than there are.

    >>> losses, tokens = np.array([20.0, 70.0, 10.0]), np.array([10, 30, 10])
    >>> mean_per_token(losses, tokens, settings=Settings()).value
    2.0
    """
    total, tokens = checked(tokens, total=total)
    return _mean(total, tokens, settings, unit, exact=exact, signed=bool((total < 0).any()))


def _mean(
    total: np.ndarray,
    tokens: np.ndarray,
    settings: Settings,
    unit: str,
    *,
    exact: bool,
    signed: bool,
) -> Number:
    """See `mean_per_token`; a `signed` share is the difference of two, whether or not one is below 0."""
    if not tokens.any():
        return Number(value=None, unit=unit, refused="there are no tokens here")
    if unit == SHARE:
        require_parts(total, tokens)
    value = _ratio(total, tokens)
    if why := too_few(tokens):
        return Number(value=value, unit=unit, bare=why)
    low, high = of_mean(total, tokens, settings.level)
    still = low == high
    if unit == SHARE and not (still and exact):
        if still:
            off = unseen(int(np.count_nonzero(tokens)), settings.level)
            low, high = value - off, value + off
        if not signed:
            low, high = of_share(total, tokens, settings.level)
        low, high = max(low, -1.0), min(high, 1.0)
    elif still and not exact:
        return Number(value=value, unit=unit, bare=STILL)
    return Number(value=value, low=low, high=high, unit=unit)


def _ratio(top: np.ndarray, bottom: np.ndarray) -> float:
    (up, (top,)), (down, (bottom,)) = scaled(top), scaled(bottom)
    return unscaled(float(top.sum() / bottom.sum()), up - down)


def difference_per_token(
    a: np.ndarray,
    b: np.ndarray,
    tokens: np.ndarray,
    *,
    settings: Settings,
    unit: str = NATS,
    exact: bool = False,
) -> Number:
    """Give sum(a − b) / sum(tokens), paired by document; see `mean_per_token`.

    >>> a, b, tokens = np.array([21.0, 72.0]), np.array([20.0, 70.0]), np.array([10, 20])
    >>> difference_per_token(a, b, tokens, settings=Settings()).value
    0.1
    """
    a, b, tokens = checked(tokens, a=a, b=b)
    with np.errstate(over="ignore"):
        (total, tokens) = checked(tokens, difference=a - b)
    return _mean(total, tokens, settings, unit, exact=exact, signed=True)


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
    if total.size != other.size:
        raise MeasurementError(
            "A difference of two means", f"the one is of {total.size} documents, the other of {other.size}",
            "Give both of the same documents.",
        )  # fmt: skip
    if not (tokens.any() and others.any()):
        return Number(value=None, unit=unit, refused="there are no tokens in one of the two parts")
    (up, (total, other)), (down, (tokens, others)) = scaled(total, other), scaled(tokens, others)
    value = float(total.sum() / tokens.sum() - other.sum() / others.sum())
    found = Number(value=unscaled(value, up - down), unit=unit)
    rarer = min(tokens, others, key=np.count_nonzero)
    if too_few(tokens) or too_few(others):
        return found
    falls = left_out(total, tokens) - left_out(other, others)
    low, high = of_estimate(
        value, falls, tokens + others, settings.level, documents=int(np.count_nonzero(rarer))
    )
    if low == high:
        return found
    whole = {"low": unscaled(low, up - down), "high": unscaled(high, up - down)}
    return found.model_copy(update=whole)


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
    exact: bool = False,
) -> Number:
    """Give sum(numerator) / sum(denominator) with its interval, or say why there is none.

    It is refused when the denominator's own interval contains 0, when the denominator is
    distinguishably negative, when its documents are so few or so unequal that no interval would
    hold, when fewer than `FEWEST_DOCUMENTS` documents have tokens, and when an end of the interval is
    out of all proportion (`intervals.REACH`). It is never clipped: below 0 and above 1 are findings.
    An identity holds without statistics: a condition's distance from itself is exactly 0, as a share
    of itself exactly 1, provided that the denominator stands. That numerator and denominator are
    equal in the documents that were seen makes no identity; the caller says so.

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
        floor: Below this per token the denominator is rounding, however regular. So is what is a
            `refusals.ROUNDING` of the numerator, in any unit.
        exact: Whether the numerator is 0, or the denominator, by construction.

    Raises:
        MeasurementError: As for `mean_per_token`.

    >>> damage, tokens = np.tile([2.0, 3.0, 1.0, 2.0, 2.0], 8), np.full(40, 10)
    >>> fraction(damage, damage, tokens, what="damage", settings=Settings()).value
    1.0
    >>> tokens = np.full(5, 10)
    >>> noise = np.array([-2.0, 3.0, -1.0, 2.0, -2.0])
    >>> fraction(noise, noise, tokens, what="damage", settings=Settings()).refused
    'the denominator (damage) is 0.00 [−0.22, 0.75] nats per token, within noise of zero'
    """
    numerator, denominator, tokens = checked(tokens, numerator=numerator, denominator=denominator)
    # Documents that do not differ are told from 0 all the same.
    size = _mean(denominator, tokens, settings, unit, exact=unit != SHARE, signed=True)
    refused = refusal(size, denominator, tokens, what, settings.level, if_negative)
    if refused is None and (why := rounding(numerator, denominator, size.value or 0.0, floor)):
        why = f"the denominator ({what}) is {written(size)} {size.unit}: {why}"
        return Number(value=None, unit=SHARE, refused=why)
    identity = _identity(numerator, denominator) if exact else None
    # An identity needs no interval, only a denominator that is not known to be nothing.
    unmeasured = size.low is None and size.value is not None and size.value > 0
    if identity is not None and (refused is None or unmeasured):
        return identity
    if refused is not None:
        return refused
    if hidden := hidden_tail(size, denominator, tokens, what):
        return Number(value=None, unit=SHARE, refused=hidden)
    low, high = of_ratio(numerator, denominator, tokens, settings.level, bounded=unit == SHARE)
    found = Number(value=_ratio(numerator, denominator), low=low, high=high, unit=SHARE)
    assert found.value is not None
    if says_nothing(found.value, low, high, int(np.count_nonzero(tokens))):
        columns = numerator, denominator, tokens
        why = too_wide(found, columns, settings.level, bounded=unit == SHARE)
        return Number(value=None, unit=SHARE, refused=why)
    return found


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


def tail(tokens: np.ndarray, level: float) -> float:
    """Share of draws beyond each end, so that the interval of a mean is Student's; see `ends`."""
    n = np.count_nonzero(tokens)
    return float(ndtr(math.sqrt(n / (n - 1)) * stdtrit(n - 1, (1 - level) / 2)))


def ends(
    distribution: np.ndarray, value: float, tokens: np.ndarray, level: float
) -> tuple[float, float]:
    """Ends of the expanded percentile interval: order statistics, never short of the value.

    The plain percentile interval is too short by sqrt((n−1)/n) and uses normal instead of t
    quantiles; the expanded one (Hesterberg, The American Statistician 69, 2015, 371–386) moves
    the tail so that the interval of a mean of normal documents is the t interval.
    """
    beyond = tail(tokens, level)
    # No interpolation: an infinite ratio next to the end must not leak into it.
    cut, last = math.floor(beyond * (distribution.size - 1)), distribution.size - 1
    ordered = np.sort(distribution)
    return min(value, float(ordered[cut])), max(value, float(ordered[last - cut]))
