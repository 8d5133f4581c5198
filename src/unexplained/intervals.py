"""Intervals of ratios of sums: one t test of the linearised ratio, inverted, longer where tails ask.

A t interval misses where documents are skewed: a sample that lacks the few large ones has its mean
on the wrong side and a spread that is too small, both at once. So the quantile of Student's t is
lengthened, on the side where documents may be missing, by a factor that grows with the skewness
that the sample does show:

    exp(max(b τ², γ² / max(32, n/4), 2 b κ²)),    b = 24/√n + 400/n²

for n documents. τ is their L-skewness (Hosking, Journal of the Royal Statistical Society B 52,
1990), which small samples show best; γ the usual skewness, which a few outliers among many show
best. Each is taken of the documents' deviations and of those per token, the larger counts, and
only toward the side in question. κ is λ₃/λ₁ of the denominator per token, for ratios alone, on
both sides: a denominator of which few documents carry much leaves open how *those* are explained.
The shape was chosen, and the constants fitted, on simulations (`docs/statistics.md`): for normal
documents nothing changes, and as documents grow in number the factor goes to 1.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import stdtrit

PLENTY = 48
"""With n fewer documents the reach of a ratio is √(48/n) times as long."""

ROUNDING = 1e-13
"""What is left of a numerator after its share of the denominator counts as rounding below this."""

GRID = np.linspace(0, math.pi / 2, 13)[1:]
"""Where the test of a ratio is tried before its ends are sought, as angles; π/2 is no end at all."""


def of_mean(
    total: np.ndarray, tokens: np.ndarray, level: float
) -> tuple[float, float]:
    """Interval of sum(total) / sum(tokens); see `of_estimate`."""
    value = float(total.sum() / tokens.sum())
    return of_estimate(value, (total - value * tokens) / tokens.sum(), tokens, level)


def of_estimate(
    value: float,
    parts: np.ndarray,
    tokens: np.ndarray,
    level: float,
    *,
    documents: int | None = None,
) -> tuple[float, float]:
    """Interval of an estimate from the documents' parts in its deviation.

    Args:
        value: The estimate.
        parts: (document,) its derivative by a document's weight: of a ratio of sums
            (total − value · tokens) / sum(tokens). They add up to 0.
        tokens: (document,) what a part is of; documents with 0 do not count.
        level: Share of repetitions in which the interval should hold the truth.
        documents: How many count, if fewer than those with tokens.
    """
    some = tokens > 0
    parts, tokens = parts[some], tokens[some]
    n = documents or parts.size
    error = math.sqrt(n / (n - 1) * float(parts @ parts))
    below, above = quantile(n, level) * error * np.exp(lengthening(parts, tokens))
    return value - float(below), value + float(above)


def of_ratio(
    numerator: np.ndarray, denominator: np.ndarray, tokens: np.ndarray, level: float
) -> tuple[float, float]:
    """Interval of sum(numerator) / sum(denominator), of a denominator that `divides`.

    All r for which the documents' numerator − r · denominator may have the expectation 0 (Fieller,
    Journal of the Royal Statistical Society B 16, 1954, without his normality). Where they form
    several pieces, all that lies between. It has two ends because the same test tells the
    denominator from 0.

    Args:
        numerator: (document,) sums.
        denominator: (document,) sums.
        tokens: (document,) what the sums are over; documents with 0 do not count.
        level: Share of repetitions in which the interval should hold the truth.
    """
    some = tokens > 0
    numerator, denominator, tokens = numerator[some], denominator[some], tokens[some]
    value = float(numerator.sum() / denominator.sum())
    rest = numerator - value * denominator
    size, spread = (math.sqrt(float(x @ x)) for x in (denominator, rest))
    if spread <= ROUNDING * (math.sqrt(float(numerator @ numerator)) + abs(value) * size):
        return value, value
    unit = np.stack([rest / spread, denominator / size])
    test = _Test(unit, tokens, level, unevenness(denominator, tokens))

    def excess(angles: np.ndarray) -> np.ndarray:
        return test.beyond(np.stack([np.cos(angles), -np.sin(angles)], axis=-1))

    tried = excess(np.concatenate([-GRID, GRID])).reshape(2, GRID.size)

    def end(side: int, passed: np.ndarray) -> float:
        # From the outermost angle that the test lets pass to the next, that it does not.
        place = int(passed[-1]) + 1 if passed.size else 0
        start = side * float(GRID[place - 1]) if place else 0.0
        angle = brentq(lambda at: float(excess(at)), start, side * float(GRID[place]), xtol=1e-11)
        return value + math.tan(angle) * spread / size

    low, high = (
        end(side, np.flatnonzero(row[:-1] <= 0)) for side, row in zip((-1, 1), tried, strict=True)
    )
    return min(low, value), max(high, value)


def divides(denominator: np.ndarray, tokens: np.ndarray, level: float) -> bool:
    """Whether a denominator is so far above 0 that a ratio has an interval."""
    some = tokens > 0
    denominator, tokens = denominator[some], tokens[some]
    test = _Test(denominator[None], tokens, level, unevenness(denominator, tokens))
    return bool(denominator.sum() > 0 and test.beyond(np.ones(1)) > 0)


class _Test:
    """Whether weighted columns are told from an expectation of 0, by the reach of a ratio.

    Args:
        columns: (column, document) sums.
        tokens: (document,) all above 0.
        level: 1 less the level of the test.
        least: Least exponent of the lengthening.
    """

    def __init__(
        self, columns: np.ndarray, tokens: np.ndarray, level: float, least: float
    ) -> None:
        n = tokens.size
        self.totals = columns.sum(1)
        self.deviations = columns - (self.totals / tokens.sum())[:, None] * tokens
        self.tokens, self.least = tokens, least
        few = math.sqrt(max(1.0, PLENTY / n))
        self.reach = few * quantile(n, level) * math.sqrt(n / (n - 1))

    def beyond(self, weights: np.ndarray) -> np.ndarray:
        """How far the sum of (…, column) times the columns is out of reach of 0: told if above 0."""
        total, deviations = weights @ self.totals, weights @ self.deviations
        below, above = lengthening(deviations, self.tokens)
        exponent = np.minimum(np.maximum(np.where(total > 0, below, above), self.least), 100.0)
        spread = np.sqrt(np.einsum("...i,...i->...", deviations, deviations))
        return np.asarray(np.abs(total) - self.reach * np.exp(exponent) * spread)


def lengthened(denominator: np.ndarray, tokens: np.ndarray) -> float:
    """Factor by which tails lengthen the reach that a denominator has to exceed."""
    some = tokens > 0
    denominator, tokens = denominator[some], tokens[some]
    deviations = denominator - denominator.sum() / tokens.sum() * tokens
    below = float(lengthening(deviations, tokens)[0])
    return math.exp(min(max(below, unevenness(denominator, tokens)), 100.0))


def lengthening(deviations: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """Exponents by which t is lengthened below and above the estimate: (2, …)."""
    n = tokens.size
    even = tokens.min() == tokens.max()  # then both kinds of skewness are the same
    tau, gamma = shape(np.stack([deviations] if even else [deviations, deviations / tokens]))
    sides = np.array([-1.0, 1.0]).reshape(2, *[1] * tau.ndim)
    b, c = steepness(n), 1 / max(32, n / 4)
    found = np.maximum(b * np.maximum(sides * tau, 0) ** 2, c * np.maximum(sides * gamma, 0) ** 2)
    return np.asarray(found.max(1))


def steepness(documents: int) -> float:
    """b: how steeply the lengthening grows with skewness."""
    return 24 / math.sqrt(documents) + 400 / documents**2


def quantile(documents: int, level: float) -> float:
    """Of Student's t, two-sided."""
    return -float(stdtrit(documents - 1, (1 - level) / 2))


def shape(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """L-skewness and skewness along the last axis; 0 where nothing varies."""
    mean, scale, third = l_moments(x)
    centred = x - mean[..., None]
    squares = centred * centred
    variance = squares.mean(-1)
    cubes = np.einsum("...i,...i->...", squares, centred) / x.shape[-1]
    varies = (scale > 0) & (variance > 0)
    tau = np.divide(third, scale, out=np.zeros_like(scale), where=varies)
    gamma = np.divide(cubes, variance**1.5, out=np.zeros_like(scale), where=varies)
    return tau, gamma


def unevenness(denominator: np.ndarray, tokens: np.ndarray) -> float:
    """2 b κ², κ = |λ₃| / λ₁ of the denominator per token: 0 where it is spread symmetrically."""
    mean, _, third = l_moments(denominator / tokens)
    return math.inf if mean <= 0 else 2 * steepness(tokens.size) * float(third / mean) ** 2


def l_moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """λ₁, λ₂ and λ₃ along the last axis, unbiased (Hosking 1990, equation 2.5 and below)."""
    first, second, third = np.moveaxis(np.sort(x, axis=-1) @ _weights(x.shape[-1]), -1, 0)
    return first, second, third


@lru_cache(maxsize=8)
def _weights(n: int) -> np.ndarray:
    """What sorted values count for in each L-moment, (n, 3): shifted Legendre polynomials of rank."""
    place = np.arange(n)
    once, twice = place / (n - 1), place * (place - 1) / ((n - 1) * (n - 2))
    weights = np.stack([np.ones(n), 2 * once - 1, 6 * twice - 6 * once + 1], axis=1) / n
    weights.flags.writeable = False
    return weights
