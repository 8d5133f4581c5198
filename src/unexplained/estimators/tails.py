"""What documents with long tails can tell from zero: Student's t, corrected as intervals are.

A text that lacks the few large documents has its mean on the wrong side and a spread that is too
small, so a plain t test finds effects that are not there: of eight lognormal documents (σ = 1) in
17% of texts instead of 5%.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import stdtr

from unexplained.errors import MeasurementError
from unexplained.intervals import ROUNDING, left_out, lengthening, quantile
from unexplained.sums import checked_rows, scaled

MOST_LONGER = 100.0
"""Greatest logarithm of a factor: beyond it nothing is told, and e to the power stays finite."""


def p_values(totals: np.ndarray, tokens: np.ndarray, *, share: bool = False) -> np.ndarray:
    """Two-sided p-values that sums over documents have the expectation 0.

    Those of t tests on the jackknife's standard error, its statistic divided by what the documents'
    tails ask for on the side of zero, as for a denominator (`intervals`), and never by less than 1.
    So a p-value is never below that of the t test. 1 where nothing varies and the sum is 0; where nothing
    varies and it is not, that of all documents on one side, 2^(1 − n): see `of_one_side`.

    It misleads far out: a correction for many components asks for p-values of 1e-4, of which few
    skewed documents cannot tell (`docs/statistics.md` has what a sweep of them finds falsely).

    Args:
        totals: (…, document) sums.
        tokens: (document,) tokens; those with 0 do not count as documents.
        share: The sums count tokens, or are differences of such: nothing lies beyond a document's
            tokens, and tails count as in the interval of a mean.

    Raises:
        MeasurementError: As for `stats.mean_per_token`, or there are fewer than two documents.

    >>> p_values(np.array([[1.0, 2.0, 3.0, 2.0, 2.0], [0.0, 0.0, 0.0, 0.0, 0.0]]), np.full(5, 10))[1]
    np.float64(1.0)
    """
    sums, tokens = checked_rows(tokens, totals=totals)
    some = tokens > 0
    n = int(np.count_nonzero(some))
    if n < 2:
        raise MeasurementError("A p-value", f"it needs two documents and there are {n}")
    (_, (sums,)), (_, (tokens,)) = scaled(sums[..., some]), scaled(tokens[some])
    mean = sums.sum(-1) / tokens.sum()
    falls = left_out(sums, tokens)
    error = np.sqrt((n - 1) / n * (falls**2).sum(-1))
    error = np.where(error > ROUNDING * np.abs(mean), error, 0.0)
    reach = error * toward_zero(mean, falls, tokens, share=share)
    size = np.divide(np.abs(mean), reach, out=np.full(mean.shape, np.inf), where=reach > 0)
    p = np.where(reach > 0, 2 * stdtr(n - 1, -size), of_one_side(n))
    return np.asarray(np.where(mean == 0, 1.0, p))


def of_one_side(documents: int) -> float:
    """The chance that so many documents all err to one side: that they agree is no better proof.

    >>> of_one_side(8)
    0.0078125
    """
    return 2.0 ** (1 - documents)


def toward_zero(
    mean: np.ndarray, falls: np.ndarray, tokens: np.ndarray, *, share: bool = False
) -> np.ndarray:
    """Factors, 1 or more, for Student's quantile on the side of estimates on which 0 lies.

    Args:
        mean: (…) the estimates.
        falls: (…, document) by how much each falls as a document is left out.
        tokens: (document,) all above 0.
        share: See `p_values`.
    """
    if tokens.size < 3:  # of two documents nothing is skewed
        return np.ones(np.shape(mean))
    return np.asarray(np.where(mean > 0, *longer(falls, tokens, share=share)))


def ends_of(
    value: float, falls: np.ndarray, tokens: np.ndarray, level: float, *, rounding: float
) -> tuple[float, float]:
    """Ends of a jackknife t interval that is never shorter than Student's, however long tails are.

    Args:
        value: The estimate.
        falls: (document,) by how much it falls as a document is left out.
        tokens: (document,) all above 0.
        level: Share of repetitions in which the interval should hold the truth.
        rounding: A standard error of no more than this is none.
    """
    n = tokens.size
    error = math.sqrt((n - 1) / n * float(falls @ falls))
    if error <= rounding:
        return value, value
    below, above = quantile(n, level) * error * np.stack(longer(falls, tokens))
    return value - float(below), value + float(above)


def longer(
    falls: np.ndarray, tokens: np.ndarray, *, share: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Factors, 1 or more, for Student's quantile below and above estimates; see `toward_zero`."""
    exponents = np.clip(lengthening(falls, tokens, divided=float(not share)), 0.0, MOST_LONGER)
    below, above = np.exp(exponents)
    return np.asarray(below), np.asarray(above)
