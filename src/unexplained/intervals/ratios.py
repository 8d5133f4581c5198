"""Intervals of ratios of sums, by inverting a test; and whether there is something to divide by."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import brentq

from unexplained.intervals.documents import PLENTY, TINY, left_out, unseen
from unexplained.intervals.hidden import apart, aside
from unexplained.intervals.tails import MOST, beyond
from unexplained.sums import alike, scaled, unscaled

REACH, FARTHEST = 20.0, 200.0
"""An end that is further from a ratio than so many times its size, or so many times 1, says nothing; the
second of `PLENTY` of documents, of which what is long is told by the documents and not by their number."""

SAME = 1e-6
"""What is left of a numerator after its share of the denominator counts as rounding of losses below this."""

LARGEST = 1000
"""Of powers of two that are taken."""

GRID = np.linspace(0, math.pi / 2, 9)[1:]
"""Where the test of a ratio is tried before its ends are sought, as angles; π/2 is no end at all."""


def of_ratio(
    numerator: np.ndarray,
    denominator: np.ndarray,
    tokens: np.ndarray,
    level: float,
    *,
    bounded: bool = False,
    lengths: bool = True,
) -> tuple[float, float]:
    """Interval of sum(numerator) / sum(denominator), of a denominator that `divides`.

    All r for which the documents' numerator − r · denominator may have the expectation 0 (Fieller,
    Journal of the Royal Statistical Society B 16, 1954, without his normality). Where they form
    several pieces, all that lies between. It has two ends because the same test tells the
    denominator from 0.

    Where all documents have the same ratio, nothing tells of others but how many there are: a share
    `unseen` of them may be off by all that there is to recover, either way.

    Args:
        numerator: (document,) sums.
        denominator: (document,) sums.
        tokens: (document,) what the sums are over; documents with 0 do not count.
        level: Share of repetitions in which the interval should hold the truth.
        bounded: Both count some of the tokens, or are differences of such: no tail is long.
        lengths: Whether longer documents than these are thought of.
    """
    some = tokens > 0
    (up, (numerator,)), (down, (denominator,)), (_, (tokens,)) = (
        scaled(column[some]) for column in (numerator, denominator, tokens)
    )
    value = float(numerator.sum() / denominator.sum())
    one = math.ldexp(1.0, min(max(down - up, -LARGEST), LARGEST))
    rest = numerator - value * denominator
    size, spread = (math.sqrt(float(x @ x)) for x in (denominator, rest))
    if spread <= SAME * size * max(one, abs(value)):
        off = max(one, abs(value)) * unseen(alike(np.abs(denominator)), level)
        return unscaled(value - off, up - down), unscaled(value + off, up - down)
    farther = apart(denominator, tokens) * (
        np.ones(2) if bounded else aside(rest, denominator, tokens, lengths=lengths)
    )
    farther = np.minimum(farther, MOST) if bounded else farther
    columns = np.stack([rest / spread, denominator / size])
    test = _Test(columns, tokens, level, lengths=lengths)

    def excess(angles: np.ndarray) -> np.ndarray:
        return test.beyond(np.stack([np.cos(angles), -np.sin(angles)], axis=-1))

    tried = excess(np.concatenate([-GRID, GRID])).reshape(2, GRID.size)

    def end(side: int, passed: np.ndarray) -> float:
        # From the outermost angle that the test lets pass to the next, that it does not.
        place = int(passed[-1]) + 1 if passed.size else 0
        start = side * float(GRID[place - 1]) if place else 0.0
        angle = brentq(lambda at: float(excess(at)), start, side * float(GRID[place]), xtol=1e-9)
        return math.tan(angle) * spread / size * float(farther[max(side, 0)])

    low, high = (
        end(side, np.flatnonzero(row[:-1] <= 0)) for side, row in zip((-1, 1), tried, strict=True)
    )
    return (
        unscaled(value + min(low, 0.0), up - down), unscaled(value + max(high, 0.0), up - down)
    )  # fmt: skip


def divides(
    denominator: np.ndarray, tokens: np.ndarray, level: float, *, lengths: bool = True
) -> bool:
    """Whether a denominator is told from 0, and above it, so that a ratio has two ends.

    Without `lengths`, as if those documents were all that there are of long ones.
    """
    some = tokens > 0
    (_, (denominator,)), (_, (tokens,)) = scaled(denominator[some]), scaled(tokens[some])
    total, falls = denominator.sum(), left_out(denominator, tokens)
    return bool(total > 0 and beyond(total, falls, tokens, level, lengths=lengths) > 0)


class _Test:
    """Whether a weighted sum of two columns is told from an expectation of 0; see `beyond`.

    Args:
        columns: (2, document) what a ratio leaves of its numerator, and the denominator.
        tokens: (document,) all above 0.
        level: 1 less the level of the test.
        lengths: See `beyond`.
    """

    def __init__(
        self, columns: np.ndarray, tokens: np.ndarray, level: float, *, lengths: bool
    ) -> None:
        self.totals, self.tokens, self.level = columns.sum(1), tokens, level
        self.lengths = lengths
        self.falls = left_out(columns, tokens)

    def beyond(self, weights: np.ndarray) -> np.ndarray:
        """How far the sum of (…, column) times the columns is out of reach of 0: told if above 0."""
        total, falls = weights @ self.totals, weights @ self.falls
        squares = weights**2 * (self.falls**2).sum(1)
        divided = squares[..., 1] / np.maximum(squares.sum(-1), TINY)
        return beyond(total, falls, self.tokens, self.level, divided=divided, lengths=self.lengths)


def reach(documents: int) -> float:
    """How far an end may be from a ratio: see `REACH`."""
    return REACH if documents < PLENTY else FARTHEST


def says_nothing(value: float, low: float, high: float, documents: int) -> bool:
    """Whether an end of a ratio's interval is out of all proportion; see `REACH`.

    >>> says_nothing(-0.08, -9912.0, 1.8, 8), says_nothing(-92.0, -151.0, -55.0, 8)
    (True, False)
    """
    return max(value - low, high - value) > reach(documents) * max(1.0, abs(value))
