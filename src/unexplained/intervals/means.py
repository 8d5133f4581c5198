"""Intervals of means, of shares of tokens, and of any estimate of which is known what it is without each document."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import betaincinv, ndtri

from unexplained.intervals.documents import ROUNDING, SCANTY, left_out, quantile, unseen
from unexplained.intervals.tails import MOST, lengthening
from unexplained.sums import alike, scaled, unscaled

UNEVEN, UNEVEN_FEW = 0.75, 0.9
"""Documents that are worth less than this share of their number in ones of one length are unequal; the
second of fewer than `SCANTY`, where one length alone may decide."""


def of_mean(total: np.ndarray, tokens: np.ndarray, level: float) -> tuple[float, float]:
    """Interval of sum(total) / sum(tokens); see `of_estimate`."""
    (up, (total,)), (down, (tokens,)) = scaled(total), scaled(tokens)
    value = float(total.sum() / tokens.sum())
    low, high = of_estimate(value, left_out(total, tokens), tokens, level)
    return unscaled(low, up - down), unscaled(high, up - down)


def of_share(total: np.ndarray, tokens: np.ndarray, level: float) -> tuple[float, float]:
    """Interval of sum(total) / sum(tokens) where each total counts some of its document's tokens.

    A share has no tails: nothing can lie beyond 0 and 1. So it is Clopper and Pearson's interval of
    as many independent tokens as would vary as much, p (1 − p) / se², fewer by the square of normal
    over Student quantile (Korn and Graubard, Survey Methodology 24, 1998, 193–201), of as many
    documents as these are worth in ones of one length: a spread that one of them decides is known as
    badly as from one.

    Where all tokens are counted, or none, each document is one draw: of 6 that are all right the
    interval is 54% to 100%. A half of the tokens of each is a share like any other.
    """
    value = float(total.sum() / tokens.sum())
    n = int(np.count_nonzero(tokens))
    falls = left_out(total, tokens)[tokens > 0]
    variance = (n - 1) / n * float(falls @ falls)
    if value in (0.0, 1.0):
        least = 1 - unseen(n, level)
        return (least, 1.0) if value else (0.0, 1 - least)
    # Where documents vary less than so many tokens, or not at all, it is the tokens that are counted.
    count = float(tokens.sum())
    if variance > 0:
        count = min(value * (1 - value) / variance, count)
    student = quantile(alike(tokens), level)
    count *= (float(ndtri((1 + level) / 2)) / student) ** 2
    right, wrong, tail = value * count, (1 - value) * count, (1 - level) / 2
    low = float(betaincinv(right, wrong + 1, tail))
    high = float(betaincinv(right + 1, wrong, 1 - tail))
    if alike(tokens) >= (UNEVEN if n >= SCANTY else UNEVEN_FEW) * n:
        return low, high
    # A share has no tails, but lengths have, and it may go with them.
    ends, times = of_mean(total, tokens, level), student / quantile(n, level)
    below, above = (value + times * (end - value) for end in ends)
    return max(min(low, below), 0.0), min(max(high, above), 1.0)


def of_estimate(
    value: float,
    falls: np.ndarray,
    tokens: np.ndarray,
    level: float,
    *,
    documents: int | None = None,
) -> tuple[float, float]:
    """Interval of an estimate, from the jackknife; without length where no document moves it.

    Args:
        value: The estimate.
        falls: (document,) by how much it falls as a document is left out.
        tokens: (document,) what a document counts for; those with 0 are none.
        level: Share of repetitions in which the interval should hold the truth.
        documents: How many there are, if fewer than those with tokens.
    """
    some = tokens > 0
    falls, tokens = falls[some], tokens[some]
    n = documents or falls.size
    error = math.sqrt((n - 1) / n * float(falls @ falls))
    if error <= ROUNDING * abs(value):
        return value, value
    factors = np.minimum(np.exp(lengthening(falls, tokens, divided=0.0)), MOST)
    below, above = quantile(n, level) * error * factors
    return value - float(below), value + float(above)
