"""A cheap approximation on all documents as control variate for exact effects on a random part.

Two-phase sampling with a difference estimator (Cochran, Sampling Techniques, 1977, §12.6), the
slope fitted for each document on the other ones, so that the approximation may be as wrong as
it likes: it costs precision then, never bias.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from unexplained.errors import MeasurementError, require_count
from unexplained.estimators.tails import longer, of_one_side
from unexplained.intervals import ROUNDING, left_out
from unexplained.record import Number
from unexplained.stats import FEWEST_DOCUMENTS, NATS, Settings, checked
from unexplained.sums import scaled, unscaled

CAUTION = 2.0
"""How many times its own error variance a fitted slope loses, in units of its square. 1 is the
least that keeps a useless slope from doing harm on average; 2 was the better half of the
simulations in `docs/statistics.md`: little less gain, half the harm."""


@dataclass(frozen=True)
class Estimate:
    """A mean per token from exact effects on some documents and an approximation on all."""

    number: Number
    beta: float
    """Weight of the approximation: mean over the measured documents. 0 where it does not help."""
    correlation: float | None
    """Of exact and approximate sums over the measured documents, their share in the tokens taken
    out; null where one of the two does not vary."""
    gain: float | None
    """Variance without the approximation, divided by the variance with it, both estimated from
    the measured documents. At most about documents / measured; below 1 it did harm; null where
    there is no interval or nothing varies."""
    measured: int
    """Documents with an exact effect."""
    documents: int
    """Documents with an approximation."""
    error: float | None = None
    """Standard error, of both phases (per token); null where there is no interval."""
    p: float | None = None
    """Two-sided, that the mean is 0, with the same error, freedom and tails as the interval."""

    @property
    def worth(self) -> float | None:
        """How many documents, measured exactly and alone, would give as short an interval."""
        return None if self.gain is None else self.measured * self.gain

    def cost(self, price: float) -> float:
        """What it cost, in exact measurements of one component on one document.

        Args:
            price: Cost of approximating one component on one document, in exact measurements.
                Three runs that approximate all of 270 components have a price of 3/270.
        """
        return self.measured + price * self.documents

    def saving(self, price: float) -> float | None:
        """How many times less it cost, at a `price` as of `cost`, than exact measurements alone with as short an interval."""
        return None if self.worth is None else self.worth / self.cost(price)


def at_random(count: int, of: int, *, seed: int = 0) -> np.ndarray:
    """Choose `count` of `of` places, each set equally likely; sorted, without repetition.

    Args:
        count: How many places are chosen.
        of: How many there are.
        seed: Of the draws.

    Raises:
        MeasurementError: There are not so many.

    >>> at_random(3, 3).tolist()
    [0, 1, 2]
    """
    require_count("seed", seed, least=0)
    require_count("of", of, least=0)
    require_count("count", count, least=0)
    if count > of:
        raise MeasurementError(f"A random choice of {count} from {of}", "there are not so many")
    return np.sort(np.random.default_rng(seed).choice(of, count, replace=False))


def with_control(
    exact: np.ndarray,
    approx: np.ndarray,
    tokens: np.ndarray,
    chosen: np.ndarray,
    *,
    settings: Settings,
    beta: float | None = None,
    unit: str = NATS,
) -> Estimate:
    """Give the mean per token of `exact` over documents like these from a random part of them.

    With X, A, T the sums of exact, approximate and tokens over the chosen documents, F their share
    of all tokens and α the approximation's mean per token on the documents not chosen:

        (X − (1 − F) · Σ βᵢ (aᵢ − α tᵢ)) / T

    which for one β is X/T + β (A_all/T_all − A/T). Without `beta`, βᵢ is the regression slope on
    the *other* chosen documents, less `CAUTION` times its error variance over itself, never past 0.

    Where all documents have equally many tokens and the chosen ones are a simple random sample,
    the expectation over samples is exactly the mean over all documents, for `beta` given and for
    slopes fitted so, whatever `approx` is. Otherwise there is the bias of every ratio of sums: at
    most the coefficient of variation of T, in standard errors. The interval covers other
    documents from the same source: a t interval with the variance of both phases, its degrees of
    freedom after Welch and Satterthwaite, lengthened for the tails that both show.

    It misleads when the chosen documents were not chosen at random, and where few documents carry
    the effect and none of them was chosen, like every interval of a mean.

    Args:
        exact: One sum per chosen document, in the order of `chosen`.
        approx: One sum per document, chosen or not.
        tokens: Tokens per document.
        chosen: Places of the chosen documents, without repetition.
        settings: Level, resamples and seed.
        beta: A weight fixed before looking, instead of fitted slopes.
        unit: Unit of the result.

    Raises:
        MeasurementError: Lengths differ, an entry is NaN or infinite, a count is negative, or a
            place is repeated or does not exist.

    >>> tokens, approx = np.full(8, 10), np.array([3.0, 1, 4, 1, 5, 9, 2, 6])
    >>> chosen = np.array([0, 2, 3, 5, 6])
    >>> found = with_control(approx[chosen] + 10, approx, tokens, chosen, settings=Settings())
    >>> round(found.number.value, 9), round(found.beta, 9)  # 31 + 8 · 10 of 80 tokens
    (1.3875, 1.0)
    """
    approx, tokens = checked(tokens, approx=approx)
    if beta is not None and not math.isfinite(beta):
        raise MeasurementError(f"A control variate with the weight {beta}", "it is no number")
    chosen = _places(chosen, tokens.size)
    exact, own = checked(tokens[chosen], exact=exact)
    order = np.argsort(chosen)  # so that the order in which they were measured is nothing
    chosen, own = chosen[order], own[order]
    up, (exact, approx) = scaled(exact[order], approx)
    if not own.any():
        none = Number(value=None, unit=unit, refused="there are no tokens in the chosen documents")
        return Estimate(none, 0.0, None, None, chosen.size, tokens.size)
    rest = np.ones(tokens.size, dtype=bool)
    rest[chosen] = False
    few = np.count_nonzero(own) < FEWEST_DOCUMENTS
    if beta is None and not few:
        slopes = _slopes(exact, approx[chosen], own, _spread(approx, tokens))
    else:
        slopes = np.full(chosen.size, 0.0 if beta is None else float(beta))
    here = np.stack([exact, own, slopes * approx[chosen], slopes * own])
    there = np.stack([approx[rest], tokens[rest]])
    value = _value(here, there)
    weight, correlation = float(slopes.mean()), _correlation(exact, approx[chosen], own)
    if few:
        stands = Number(value=unscaled(value, up), unit=unit)
        return Estimate(stands, weight, correlation, None, chosen.size, tokens.size)
    phases, plain = _phases(here, there), _Part.of(exact, own).variance
    stands = Number(value=unscaled(value, up), unit=unit)
    if phases.variance > 0:
        low, high = (unscaled(end, up) for end in phases.ends(value, settings.level))
        stands = Number(value=stands.value, low=low, high=high, unit=unit)
    return Estimate(
        number=stands,
        beta=weight,
        correlation=correlation,
        gain=plain / phases.variance if phases.variance > 0 else None,
        measured=chosen.size,
        documents=tokens.size,
        error=unscaled(math.sqrt(phases.variance), up),
        p=phases.p(value),
    )


def _places(chosen: np.ndarray, documents: int) -> np.ndarray:
    places = np.asarray(chosen)
    asked = f"{places.size} chosen documents of {documents}"
    if places.ndim != 1 or (places.size and not np.issubdtype(places.dtype, np.integer)):
        raise MeasurementError(asked, "they are not given as a list of places")
    if places.size and (places.min() < 0 or places.max() >= documents):
        found = f"places run from {places.min()} to {places.max()}"
        raise MeasurementError(asked, found, f"The first is 0 and the last is {documents - 1}.")
    if np.unique(places).size != places.size:
        raise MeasurementError(asked, "a place is repeated", "Choose without repetition.")
    return places.astype(np.int64)


def _spread(approx: np.ndarray, tokens: np.ndarray) -> float:
    """Mean square of the approximation less its share in the tokens; 0 where that is rounding."""
    spread = float(np.mean((approx - approx.sum() / tokens.sum() * tokens) ** 2))
    rounding = (approx.size * np.finfo(float).eps) ** 2 * float(np.mean(approx**2))
    return spread if spread > rounding else 0.0


def _slopes(x: np.ndarray, a: np.ndarray, t: np.ndarray, spread: float) -> np.ndarray:
    """For every document, the cautious slope of x on a over the other ones: (document,).

    Least squares on x − R t and a − α t, R and α the others' ratios: the slope that makes the
    linearised variance of the ratio least. With F its squared t statistic it is multiplied by
    max(0, 1 − CAUTION · G / F). G is 1 or, if more, the spread of a over all documents by that
    over the others: where they lack the documents that a is about, they cannot tell its slope.
    """
    if spread == 0:
        return np.zeros(x.size)
    # Slopes do not change with these two steps; sums of squares of small numbers cancel less.
    x, a = x - x.sum() / t.sum() * t, a - a.sum() / t.sum() * t

    def others(column: np.ndarray) -> np.ndarray:
        return np.asarray(column.sum() - column)

    tokens, squares = others(t), others(t * t)
    rate = np.divide(others(x), tokens, out=np.zeros(x.size), where=tokens > 0)
    mean = np.divide(others(a), tokens, out=np.zeros(x.size), where=tokens > 0)
    xt, at = others(x * t), others(a * t)
    xx = others(x * x) - 2 * rate * xt + rate**2 * squares
    aa = others(a * a) - 2 * mean * at + mean**2 * squares
    xa = others(x * a) - rate * at - mean * xt + rate * mean * squares
    told = aa > x.size * np.finfo(float).eps * spread
    slope = np.divide(xa, aa, out=np.zeros(x.size), where=told)
    left = np.maximum(xx - slope * xa, 0.0) / (np.count_nonzero(t) - 3)
    lacking = np.divide((t.size - 1) * spread, aa, out=np.ones(x.size), where=told)
    penalty = CAUTION * np.maximum(1.0, lacking) * left
    explained = slope * xa
    kept = np.divide(explained - penalty, explained, out=np.zeros(x.size), where=explained > 0)
    return np.asarray(slope * np.maximum(kept, 0.0))


def _correlation(x: np.ndarray, a: np.ndarray, t: np.ndarray) -> float | None:
    x, a = x - x.sum() / t.sum() * t, a - a.sum() / t.sum() * t
    size = float(math.sqrt((x @ x) * (a @ a)))
    return None if size == 0 else float(x @ a) / size


@dataclass(frozen=True)
class _Phases:
    """The chosen documents and the others: two independent samples with a variance each."""

    variance: float
    freedom: float
    """After Welch and Satterthwaite."""
    longer: tuple[float, float]
    """Factors for Student's quantile below and above the estimate (`estimators.tails`)."""
    chosen: int
    """Documents of the first."""

    def ends(self, value: float, level: float) -> tuple[float, float]:
        """Of the estimate's interval."""
        reach = -float(stdtrit(self.freedom, (1 - level) / 2)) * math.sqrt(self.variance)
        return value - reach * self.longer[0], value + reach * self.longer[1]

    def p(self, value: float) -> float:
        """Two-sided, of an expectation of 0: below 1 − level where `ends` leave 0 out."""
        if value == 0 or self.variance == 0:
            return 1.0 if value == 0 else of_one_side(self.chosen)
        reach = math.sqrt(self.variance) * self.longer[0 if value > 0 else 1]
        return float(2 * stdtr(self.freedom, -abs(value) / reach))


def _value(here: np.ndarray, there: np.ndarray) -> float:
    """The estimate from columns (exact, tokens, βa, βt) of chosen documents and (a, t) of others."""
    residual, tokens, _ = _residual(here, there)
    return float(residual.sum() / tokens.sum())


def _residual(here: np.ndarray, there: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Of the chosen documents what is averaged, their tokens, and the share of tokens not chosen."""
    exact, tokens, weighted, weights = here
    others, other_tokens = there.sum(1)
    unseen = float(other_tokens / (tokens.sum() + other_tokens))
    mean = float(others / other_tokens) if other_tokens > 0 else 0.0
    return exact - unseen * (weighted - mean * weights), tokens, unseen


def _phases(here: np.ndarray, there: np.ndarray) -> _Phases:
    """Variance and tails of both phases, from what the estimate falls by without each document.

    The interval is as long as the longer tails of the two ask for, though the smaller part's count
    for less: in simulations their mean by variance held 2 points too few.
    """
    residual, tokens, unseen = _residual(here, there)
    weights = here[3]
    parts = [_Part.of(residual, tokens)]
    if np.count_nonzero(there[1]) > 1:
        parts.append(_Part.of(there[0], there[1], unseen * float(weights.sum() / tokens.sum())))
    variance = sum(part.variance for part in parts)
    if variance == 0:
        return _Phases(0.0, parts[0].freedom, (1.0, 1.0), tokens.size)
    freedom = variance**2 / sum(part.variance**2 / part.freedom for part in parts)
    below, above = (max(part.longer[side] for part in parts) for side in (0, 1))
    return _Phases(variance, freedom, (below, above), tokens.size)


@dataclass(frozen=True)
class _Part:
    """A mean per token of one sample of documents, times its pull on the estimate: its jackknife."""

    variance: float
    freedom: int
    longer: tuple[float, float]

    @classmethod
    def of(cls, total: np.ndarray, tokens: np.ndarray, pull: float = 1.0) -> _Part:
        some = tokens > 0
        total, tokens = total[some], tokens[some]
        falls = pull * left_out(total, tokens)
        variance = (1 - 1 / tokens.size) * float(falls @ falls)
        # What is left of equal documents is rounding, and rounding has no tails.
        if math.sqrt(variance) <= ROUNDING * abs(pull * float(total.sum() / tokens.sum())):
            return cls(0.0, tokens.size - 1, (1.0, 1.0))
        if tokens.size < 3:
            return cls(variance, tokens.size - 1, (1.0, 1.0))
        below, above = longer(falls, tokens)
        return cls(variance, tokens.size - 1, (float(below), float(above)))
