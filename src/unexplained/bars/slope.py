"""The slope of the fraction recovered over the sizes of several models: other runs counted."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from unexplained.bars.paired import paired
from unexplained.bars.recovered import INTACT, recovered
from unexplained.estimators import Scatter, Slope, laid_out, slope_over
from unexplained.intervals import apart, of_estimate
from unexplained.ledger import ALL, Ledger
from unexplained.record import Number
from unexplained.stats import Settings

SLOPE = "share per tenfold compute"


def slope_of(
    runs: Sequence[tuple[Ledger, str, str]], compute: Sequence[float], *, settings: Settings
) -> Slope:
    """Least-squares slope of the fraction recovered over log10 of compute.

    The interval is a jackknife of documents, the same ones in every run, with the tails counted that
    they and what is divided by show, and adds the scatter of runs (`estimators.slope_over`).
    Refused where the fraction of a run is.

    Args:
        runs: Each run's ledger with its explained and its ablated condition: the same one where no
            rule is better than the mean for any head, and then nothing is recovered there.
        compute: Training FLOPs of each; runs of the same compute differ by their seed alone.
        settings: Level, resamples and seed.
    """
    tops, bottoms, tokens = [], [], np.zeros(0)
    for ledger, *names in runs:
        share = recovered(ledger, names[0], names[1], settings=settings)
        if share.value is None or share.low is None:
            why = f"the fraction of a run is refused: {share.refused or 'too few documents'}"
            none = Number(value=None, unit=SLOPE, refused=why)
            return Slope(none, Scatter(0.0, 0), 0, bent=False)
        read = paired(ledger, "loss", (*names, INTACT), ALL)
        explained, ablated, whole = read.columns
        tops.append(ablated - explained)
        bottoms.append(ablated - whole)
        tokens = read.tokens
    some = tokens > 0
    top, bottom = np.stack(tops)[:, some], np.stack(bottoms)[:, some]
    values = top.sum(1) / bottom.sum(1)

    def spread(weights: np.ndarray) -> np.ndarray:
        ends = _over_documents(weights, values, top, bottom, tokens[some], settings.level)
        return laid_out(float(weights @ values), *ends, tokens, level=settings.level)

    return slope_over(
        np.log10(np.asarray(compute)), values, spread, tokens, settings=settings, unit=SLOPE
    )


def _over_documents(
    weights: np.ndarray,
    values: np.ndarray,
    top: np.ndarray,
    bottom: np.ndarray,
    tokens: np.ndarray,
    level: float,
) -> tuple[float, float]:
    """Ends, over documents alone, of a weighted sum of ratios of sums of (run, document)."""
    value = float(weights @ values)
    rest = bottom.sum(1, keepdims=True) - bottom
    if (rest <= 0).any():  # one document is all that some run has to recover
        return -math.inf, math.inf
    falls = value - weights @ ((top.sum(1, keepdims=True) - top) / rest)
    longer = math.exp(
        np.average([math.log(apart(one, tokens)) for one in bottom], weights=np.abs(weights))
    )
    return of_estimate(value, longer * falls, tokens, level)
