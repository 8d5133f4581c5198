"""On how few heads a score rests: the effective number of heads, (Σa)² / Σa², without noise's share.

n equal heads give n, one head gives 1. Both sums are taken over pairs of different documents, Σab with
a of one document and b of another, as the mean over all ways to cut the documents in halves would be:
what noise adds to a square is not in the product. (A Gini coefficient has no such form; of 270 heads
with nothing but noise it is .42.) It misleads where scores of both signs cancel in Σa: see a score
that cannot be negative.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unexplained.estimators import jackknifed, laid_out, over_runs
from unexplained.intervals import of_estimate
from unexplained.ledger import Floats
from unexplained.record import Number
from unexplained.stats import Settings, mean_per_token, too_few, written

HEADS, TIMES = "heads", "times"


@dataclass(frozen=True, eq=False)
class HeadScores:
    """What every head scores, by document."""

    sums: Floats
    """(head, document)."""
    tokens: Floats
    """(document,)"""
    layers: NDArray[np.int64]
    """(head,) the layer that it is of."""
    unit: str
    """Of a mean over tokens."""


Basis = Sequence[HeadScores]
"""The same in one basis, or in several that were drawn."""


@dataclass(frozen=True, eq=False)
class _Logs:
    """Log of an effective number, of every draw of a basis."""

    whole: Floats
    """(draw,)"""
    left: Floats
    """(draw, document) with that document left out."""
    refused: str = ""


def effective(basis: Basis, settings: Settings, *, in_layers: bool = False) -> Number:
    """The effective number of heads; over several draws its geometric mean.

    Args:
        basis: Scores.
        settings: Level, resamples and seed.
        in_layers: Of heads of one layer, Σ over layers of (Σa)² ÷ Σa².

    It is refused where the sum over heads is not told from 0, or what single heads do is not.
    """
    logs = _logs(basis, settings, in_layers)
    if logs.refused:
        return Number(value=None, unit=HEADS, refused=logs.refused)
    found = _number(logs.whole, logs.left, basis[0].tokens, settings, HEADS)
    return _held(found, *_bounds(basis, in_layers))


def ratio(basis: Basis, other: Basis, settings: Settings, *, in_layers: bool = False) -> Number:
    """How many times as many heads the first has, on the same documents."""
    one, two = (_logs(some, settings, in_layers) for some in (basis, other))
    if one.refused or two.refused:
        return Number(value=None, unit=TIMES, refused=one.refused or two.refused)
    whole, left = one.whole - two.whole.mean(), one.left - two.left.mean(0)
    found = _number(whole, left, basis[0].tokens, settings, TIMES)
    (low, high), (least, most) = (_bounds(some, in_layers) for some in (basis, other))
    return _held(found, low / most, high / least if least else np.inf)


def _bounds(basis: Basis, in_layers: bool) -> tuple[float, float]:
    """Between which the effective number lies whatever the scores: at most all heads (Cauchy and Schwarz), and one if none is negative."""
    layers = basis[0].layers
    most = np.unique(layers, return_counts=True)[1].max() if in_layers else layers.size
    return float(all((one.sums >= 0).all() for one in basis)), float(most)


def _held(found: Number, least: float, most: float) -> Number:
    """With value and ends no further than they can be: noise is taken out of both sums, and can leave more."""

    def within(one: float | None) -> float | None:
        return None if one is None else min(max(one, least), most)

    return found.model_copy(
        update={"value": within(found.value), "low": within(found.low), "high": within(found.high)}
    )


def _number(whole: Floats, left: Floats, tokens: Floats, settings: Settings, unit: str) -> Number:
    """From logarithms, with the scatter of documents (jackknife) and of draws."""
    value = float(whole.mean())
    if too_few(tokens):
        return Number(value=float(np.exp(value)), unit=unit)
    low, high = of_estimate(value, value - left.mean(0), tokens, settings.level)
    ends: tuple[float | None, float | None] = low, high
    if len(whole) > 1:
        error, freedom = jackknifed([np.delete(whole, i).mean() for i in range(len(whole))])
        draws = laid_out(value, low, high, tokens, level=settings.level)
        found = over_runs(value, draws, error, freedom, tokens, settings=settings, unit=unit)
        if found.refused:
            return found
        ends = found.low, found.high
    least, most = (None if end is None else float(np.exp(end)) for end in ends)
    return Number(value=float(np.exp(value)), low=least, high=most, unit=unit)


def _logs(basis: Basis, settings: Settings, in_layers: bool) -> _Logs:
    every = [_of_draw(one, settings, in_layers) for one in basis]
    refused = next((one for one in every if isinstance(one, str)), "")
    if refused:
        return _Logs(np.empty(0), np.empty(0), refused)
    pairs = [one for one in every if not isinstance(one, str)]
    return _Logs(np.array([whole for whole, _ in pairs]), np.stack([left for _, left in pairs]))


def _of_draw(scores: HeadScores, settings: Settings, in_layers: bool) -> tuple[float, Floats] | str:
    """Its logarithm, and with every document left out; or why there is none."""
    sums, tokens = scores.sums, scores.tokens
    total = mean_per_token(sums.sum(0), tokens, settings=settings, unit=scores.unit)
    if total.low is not None and total.high is not None and total.low <= 0 <= total.high:
        return f"the sum over heads is {written(total)} {scores.unit}, within noise of zero"
    groups = np.unique(scores.layers) if in_layers else [None]
    together = np.stack(
        [sums[scores.layers == one if one is not None else slice(None)].sum(0) for one in groups]
    )
    top, tops = _pairs(together)
    bottom, bottoms = _pairs(sums)
    size = of_estimate(bottom, bottom - bottoms, tokens, settings.level)
    if not size[0] > 0 or not (bottoms > 0).all() or top <= 0 or not (tops > 0).all():
        return "what single heads do is within noise of zero"
    return float(np.log(top / bottom)), np.log(tops / bottoms)


def _pairs(sums: Floats) -> tuple[float, Floats]:
    """Σ over rows of the mean product of two different documents; and with each document left out."""
    n = sums.shape[1]
    whole, squares = sums.sum(1), (sums**2).sum(1)
    left = (whole[:, None] - sums) ** 2 - (squares[:, None] - sums**2)
    return (
        float((whole**2 - squares).sum()) / (n * (n - 1)),
        left.sum(0) / max((n - 1) * (n - 2), 1),
    )
