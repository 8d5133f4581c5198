"""What few documents may hide of a ratio: how much further apart its ends are for it, and when it is refused."""

from __future__ import annotations

import math

import numpy as np

from unexplained.intervals.documents import (
    PLENTY,
    ROUNDING,
    SCANTY,
    SHOWN,
    TINY,
    error_of,
    fewer,
    left_out,
    shape,
    worth,
)
from unexplained.intervals.tails import by_length, lengthening, matters

DOUBT, HIDES_NONE, HIDES_ALL = 1.0, 0.15, -0.15
"""Logarithm by which ends of a ratio are moved for a tail below 0 that fewer may hide, and the L-skewness of
the denominator at which nothing is hidden and all may be."""

DOUBT_WEAK, WEAK_HIDES_NONE, STRONG = 2.0, 0.2, 11.0
"""The same of a weak denominator, one less than `FAR` standard errors from 0, or in part up to the
third, of which `SCANTY` to `PLENTY` hide nothing at the second and all at 0: what is weak and regular may be the upper part of something wide."""

LEANS, CLEAR, FAR = 0.12, 0.3, 10.0
"""L-skewness, least document as a share of the mean, and standard errors from 0, that fewer must show."""

CLEARER, FLOOR = 0.2, 0.75
"""Of fewer than `SCANTY` documents, and so much of 8: what leans toward 0 must be clearer, as it may be the upper
part of something wide. What they are worth counts for what is doubted of more: at least so much of 8."""

FLOOR_SCANTY, MODERATE_SCANTY, MOST_ASIDE_SCANTY = 1.25, 10.0, 0.75
"""Of fewer than `SCANTY` documents, whatever they show: at least so much is doubted, as what a ratio leaves of
its numerator, or noise in the denominator itself, may have a tail that none of them shows; and what counts of a
moderate tail of the denominator, and at most of one of what is left, is less: so much is doubted already."""

SURE, USUAL = 0.05, 0.5
"""Relative standard error of a denominator below which its tails count less, as for `VARIES`. Not so for a tail
away from 0, which moves a ratio only as far as it is long: there the error is one of a coefficient of variation of `USUAL`."""

ASIDE, MOST_ASIDE = 16.0, 1.5
"""What counts of a tail of what a ratio leaves of its numerator, of `PLENTY` of documents, and at most."""

LEFT = 15.0
"""What counts of a denominator's tail toward 0, at least, also of many documents."""

TIED_ENDS, GROWS = 16.0, 12.0
"""What `by_length` counts for in the end of a ratio, of `SCANTY` documents and more, on the side of what long documents leave
beside their damage; and for both ends where damage per token rises with the length, so that the longest decide."""


def apart(denominator: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """Factor by which the ends of a ratio are moved apart for the tails of its denominator."""
    n = tokens.shape[-1]
    few = MODERATE_SCANTY if n < SCANTY else 4 * max(PLENTY / n - 1, 0.0)
    strong = 20 * math.sqrt(PLENTY / n)
    total, error = denominator.sum(-1), error_of(denominator, tokens)
    toward = matters(total, error, SURE * min(n / PLENTY, 1.0))
    away = matters(total, error, max(SURE, USUAL / math.sqrt(n)))
    falls = left_out(denominator, tokens)
    tau = shape(np.stack([denominator / tokens, falls, denominator]))[0]
    tails = strong * tau**6
    moderate = np.where(tau < 0, max(few, LEFT), few) * tau**2
    tails[:2] = np.maximum(tails, moderate)[:2]
    weak, below = total < FAR * error, denominator.min(-1) < 0
    alike = worth(falls, tokens)
    # Weak in part between the two, so that no interval jumps.
    one = np.maximum(error, ROUNDING * np.abs(total) + TINY)
    in_part = np.clip((STRONG - total / one) / (STRONG - FAR), 0.0, 1.0)
    regular = np.clip(1 - tau[0] / WEAK_HIDES_NONE, 0.0, 1.0) * (n >= SCANTY) * in_part
    hidden = np.maximum(doubt(tau[0], alike, weak & below), DOUBT_WEAK * fewer(PLENTY, n) * regular)
    floor = FLOOR_SCANTY if n < SCANTY else FLOOR * fewer(SCANTY, alike)
    hidden = hidden * toward
    counted = (tails * np.where(tau < 0, toward, away)).max(0)
    return np.asarray(np.exp(counted + np.maximum(hidden, floor)))


def doubt(tau: np.ndarray, documents: np.ndarray, lucky: np.ndarray) -> np.ndarray:
    """Logarithm of a factor for what few documents may hide of a denominator below 0.

    Those that lean to the other side by their L-skewness hide nothing, unless the whole is weak with
    some of them below 0: that they lean then is luck.
    """
    hidden = np.clip((HIDES_NONE - tau) / (HIDES_NONE - HIDES_ALL), 0.0, 1.0)
    return np.asarray(DOUBT * fewer(SHOWN, documents) * np.where(lucky, 1.0, hidden))


def aside(
    rest: np.ndarray, denominator: np.ndarray, tokens: np.ndarray, *, lengths: bool = True
) -> np.ndarray:
    """Factors by which the ends below and above a ratio are moved for tails of what it leaves: (2, …).

    A ratio's denominator may be regular while the numerator has a tail that the denominator lacks; or what
    is left goes with the damage, and few documents have much of both. Beside the damage, at least
    the mean, it shows in many. What the test asks for itself (`lengthening`) is not asked for twice.

    Args:
        rest: (…, document) numerator less ratio times denominator.
        denominator: (…, document) sums.
        tokens: (…, document) all above 0.
        lengths: Whether longer documents than these are thought of.
    """
    usual = tokens * np.maximum(denominator.sum(-1) / tokens.sum(-1), TINY)[..., None]
    beside = rest / np.maximum(denominator, usual)
    tau = shape(beside)[0]
    sides = np.array([-1.0, 1.0]).reshape(2, *[1] * tau.ndim)
    falls = left_out(rest, tokens)
    scanty = PLENTY / worth(falls, tokens)
    farther = ASIDE * np.maximum(scanty**1.8, np.sqrt(scanty)) * np.maximum(sides * tau, 0.0) ** 3
    asked = np.maximum(lengthening(falls, tokens, divided=0.0), 0.0)
    most = MOST_ASIDE_SCANTY if tokens.shape[-1] < SCANTY else MOST_ASIDE
    farther, grows = np.minimum(farther, most), np.zeros(1)
    # Of fewer as much is doubted already (`FLOOR_SCANTY`).
    if lengths and tokens.shape[-1] >= SCANTY and tokens.min() < tokens.max():
        farther = np.maximum(farther, TIED_ENDS * by_length(beside, tokens, sides))
        grows = GROWS * by_length(denominator / tokens, tokens, 1.0)
    return np.asarray(np.exp(np.maximum(farther - asked, 0.0) + grows))


def hides_tail(denominator: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """Whether a denominator of few documents may have a tail below 0 of which they show nothing: (…,).

    A weak one passes for strong when its text happens to lack that tail, and is then strongly wrong.
    Below `SHOWN` documents it is believed only where it leans away from 0, or, of `SCANTY` and more, toward
    it, so that its tail is shown and counted; where none of its documents is near or below 0; or where it is far
    from 0 itself. Found by simulation, as all here.

    Args:
        denominator: (…, document) sums.
        tokens: (…, document) all above 0.
    """
    total = denominator.sum(-1)
    if (n := tokens.shape[-1]) >= SHOWN:
        return np.zeros(np.shape(total), dtype=bool)
    rates, far = denominator / tokens, FAR * error_of(denominator, tokens)
    tau = shape(np.stack([rates, left_out(denominator, tokens)]))[0]
    clear = rates.min(-1) > (
        CLEAR + CLEARER * fewer(SCANTY, n) * (tau[0] < 0)
    ) * total / tokens.sum(-1)
    shown = (tau < 0).all(0) & (n >= SCANTY)
    return np.asarray(~((tau[0] > LEANS) | shown | clear | (total > far)))
