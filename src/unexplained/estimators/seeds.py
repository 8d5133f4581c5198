"""Numbers of training runs: other documents and another seed are two sources of variation.

An interval over documents holds the models fixed. A conclusion about *sizes* or *recipes*
("harder with size", "rung 4 is ahead of rung 3 on few tokens") is about runs that were not made
as well, so the scatter from run to run belongs into its interval. What other runs would change is a
standard error over runs times Student's t, with the degrees of freedom that it rests on; the ends
are quantiles of the convolution of that with the draws over documents. It is computed, not drawn: with
two degrees of freedom the tails that decide are so long that draws of them would move the ends from
seed to seed. With documents that do not matter the result is the t interval. Three seeds resampled
with replacement would instead give intervals too short by √(2/3) and more.

Runs are taken to be independent draws whose scatter is the same at every size. Seeds measured on
the same documents differ by the documents' chance too, which the draws hold already: intervals are
a little too wide, never too narrow for it. `docs/statistics.md` has the coverage on simulated runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import fdtrc, ndtri, stdtr, stdtrit

from unexplained.errors import MeasurementError
from unexplained.record import Number
from unexplained.stats import SHARE, Settings, ends, tail, too_few

POOLED_ABOVE = 0.25
"""Seeds and the rungs' distances from the line make one scatter unless an F test finds the rungs
further off than seeds explain, at this p (lenient, as in `curves.fit`)."""

FEWEST_PLACES, MOST_PLACES = 2000, 100_000
"""Of the places on which a distribution over documents is laid out."""


@dataclass(frozen=True)
class Scatter:
    """How far runs that differ by their seed alone lie apart."""

    squares: float
    """Sum of squares about their own mean."""
    freedom: int
    """Degrees of freedom: runs beyond the first of each kind."""

    @property
    def deviation(self) -> float | None:
        """Standard deviation of one run, in the unit of what was measured; None if not known."""
        return math.sqrt(self.squares / self.freedom) if self.freedom else None


def scatter_of(kinds: Sequence[np.ndarray]) -> Scatter:
    """Pool the scatter within kinds of runs; a kind with one run adds nothing.

    Args:
        kinds: For each kind (a size, say) the values of its runs.

    >>> round(scatter_of([np.array([0.1, 0.3]), np.array([0.5])]).deviation, 4)
    0.1414
    """
    squares = sum(float(((kind - kind.mean()) ** 2).sum()) for kind in kinds)
    return Scatter(squares, sum(kind.size - 1 for kind in kinds))


def over_runs(
    value: float,
    draws: np.ndarray,
    error: float,
    freedom: int,
    tokens: np.ndarray,
    *,
    settings: Settings,
    unit: str = SHARE,
) -> Number:
    """A number over runs, with an interval for other documents and other runs together.

    Args:
        value: What was measured.
        draws: The same in every resample of the documents; those that are not finite count beyond
            both ends, so that an end they reach is None.
        error: Standard error over runs, in `unit`.
        freedom: Its degrees of freedom.
        tokens: Per document, for how many documents there are.
        settings: Level, resamples and seed.
        unit: Unit of the value.

    Raises:
        MeasurementError: There is a standard error without degrees of freedom.
    """
    if error > 0 and freedom < 1:
        raise MeasurementError(
            "The scatter of training runs", "there is one run of each kind", "Give more seeds."
        )
    lost = np.isnan(draws)
    if error > 0:
        beyond = tail(tokens, settings.level)
        low = _quantile(np.where(lost, -np.inf, draws), error, freedom, beyond)
        high = -_quantile(np.where(lost, -np.inf, -draws), error, freedom, beyond)
    else:
        low, high = value, value
    # Runs never take anything away from what documents alone leave open.
    low = min(low, ends(np.where(lost, -np.inf, draws), value, tokens, settings.level)[0])
    high = max(high, ends(np.where(lost, np.inf, draws), value, tokens, settings.level)[1])
    if low == high:  # neither documents nor runs differ, which tells nothing of others
        return Number(value=value, unit=unit)
    return Number(
        value=value,
        low=low if math.isfinite(low) else None,
        high=high if math.isfinite(high) else None,
        unit=unit,
    )


def laid_out(
    value: float, low: float, high: float, tokens: np.ndarray, *, level: float
) -> np.ndarray:
    """A distribution over documents with this interval, for `over_runs`: half a normal on each side.

    So an interval that counts the documents' tails keeps them when runs are added, which an
    interval of resampled documents does not have. An end that is infinite stays so.

    Args:
        value: The estimate.
        low: The interval's lower end.
        high: Its upper end.
        tokens: Tokens by document: as many draws as resampling them gives.
        level: The interval's level (0.95).

    >>> draws = laid_out(0.5, 0.3, 1.1, np.full(30, 10), level=0.95)
    >>> found = over_runs(0.5, draws, 0.0, 1, np.full(30, 10), settings=Settings())
    >>> round(found.low, 2), round(found.high, 2)
    (0.3, 1.1)
    """
    beyond = tail(tokens, level)
    places = min(max(FEWEST_PLACES, 4 * math.ceil(1 / beyond)), MOST_PLACES)
    at = ndtri((np.arange(places) + 0.5) / places) / abs(float(ndtri(beyond)))
    with np.errstate(invalid="ignore"):
        return np.asarray(value + np.where(at < 0, at * (value - low), at * (high - value)))


def other_runs(
    number: Number, error: float, freedom: int, tokens: np.ndarray, settings: Settings
) -> Number:
    """A number with other runs in its interval, beside the documents that it counts already.

    Args:
        number: With its interval over documents; refused, or of too few documents it stays as it is.
        error: Standard error over runs, in its unit.
        freedom: Its degrees of freedom.
        tokens: Per document.
        settings: Level, resamples and seed.
    """
    if number.value is None or too_few(tokens):
        return number
    low, high = (
        (number.value, number.value)  # no document moves it
        if number.low is None and number.high is None
        else (-math.inf if number.low is None else number.low,
              math.inf if number.high is None else number.high)
    )  # fmt: skip
    draws = laid_out(number.value, low, high, tokens, level=settings.level)
    return over_runs(
        number.value, draws, error, freedom, tokens, settings=settings, unit=number.unit
    )


def _quantile(draws: np.ndarray, error: float, freedom: int, beyond: float) -> float:
    """Where the mean over draws of P(draw + error · t ≤ x) reaches `beyond`, below one half."""
    some = draws[np.isfinite(draws)]
    below = int(np.count_nonzero(draws == -np.inf))
    rest = (beyond * draws.size - below) / some.size if some.size else 0.0
    if rest <= 0:
        return -math.inf
    if rest >= 1:
        return math.inf
    reach = error * float(stdtrit(freedom, rest))
    # At its ends every draw, or the mean of all, is on the same side of the share that is sought.
    first, last = float(some.min()) + reach, float(some.max()) + reach

    def short(x: float) -> float:
        return float(stdtr(freedom, (x - some) / error).mean()) - rest

    if first == last:
        return first
    middle, below_it = np.quantile(some, [0.5, min(rest, 0.5)])
    near = float(middle) - math.hypot(float(middle - below_it), min(reach, 0.0))  # were both normal

    def slope(x: float) -> float:
        return _density(freedom, (x - some) / error) / error

    return _rising(short, slope, first, near, last, 1e-9 * error)


def _density(freedom: int, at: np.ndarray) -> float:
    """Mean density of Student's t at some points."""
    power = -(freedom + 1) / 2
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2))
    with np.errstate(over="ignore"):  # as far out as that there is none
        found = float(((1 + at * at / freedom) ** power).mean())
    return found * scale / math.sqrt(freedom * math.pi)


def _rising(
    short: Callable[[float], float],
    slope: Callable[[float], float],
    low: float,
    near: float,
    high: float,
    within: float,
) -> float:
    """Where a rising function is 0, between two ends: Newton's steps, halving where one leads out.

    A distribution function costs a Student's t at every draw, so what counts is how often it is asked.
    """
    x, before = near if low < near < high else (low + high) / 2, math.inf
    # A scatter that is small beside the values asks for more digits than they have.
    while high - low > max(within, 4 * math.ulp(max(abs(low), abs(high)))):
        off, rise = short(x), slope(x)
        low, high = (x, high) if off < 0 else (low, x)
        step = off / rise if rise > 0 else math.inf
        if abs(step) <= within:
            return x - step
        if low < x - step < high and abs(step) < before / 2:
            x, before = x - step, abs(step)
        else:
            x, before = (low + high) / 2, high - low
    return x


def jackknifed(left: Sequence[float]) -> tuple[float, int]:
    """Standard error over runs and its degrees of freedom, from the estimates with one run left out.

    √((m − 1)/m · Σ(θ₍ᵢ₎ − θ̄)²) for m runs (Tukey 1958; Efron and Stein, *Annals of Statistics* 9,
    1981: not too small on average). For a mean it is the standard error of the mean, exactly; for
    what is made of two runs at a time it counts each run once.

    Args:
        left: The estimate without each run in turn, one for every run.

    >>> runs = np.array([1.0, 2.0, 6.0])
    >>> error, freedom = jackknifed([np.delete(runs, i).mean() for i in range(3)])
    >>> bool(abs(error - runs.std(ddof=1) / 3**0.5) < 1e-12), freedom
    (True, 2)
    """
    m = len(left)
    if m < 2:
        raise MeasurementError(
            "A standard error over runs", f"there are {m}", "Give two runs or more."
        )
    values = np.asarray(left, dtype=float)
    return math.sqrt((m - 1) / m * float(((values - values.mean()) ** 2).sum())), m - 1


@dataclass(frozen=True)
class Slope:
    """A slope over sizes, with what its interval rests on."""

    number: Number
    """Interval for other documents and other runs."""
    seeds: Scatter
    """Within sizes of several runs."""
    freedom: int
    """Degrees of freedom of the scatter that was added: 0 where none can be had."""
    bent: bool
    """Whether sizes lie further off the line than seeds explain: then their own distances from it
    are the scatter, and a straight line is no law of them."""


Spread = Callable[[np.ndarray], np.ndarray]
"""Of weights, one per run: how documents spread the sum of the runs' values by them."""


def slope_over(
    x: Sequence[float],
    values: Sequence[float],
    draws: np.ndarray | Spread,
    tokens: np.ndarray,
    *,
    settings: Settings,
    unit: str = SHARE,
) -> Slope:
    """Least-squares slope of runs' values over x, with an interval for documents and for runs.

    Runs of the same x differ by their seed alone. Sum of squares and degrees of freedom of the
    scatter are those of seeds and of the sizes' distances from the line together (N − 2 for N
    runs: the textbook's t interval of a slope), or, where an F test finds the sizes further off the
    line than seeds explain (`POOLED_ABOVE`), those of the distances alone, sizes weighing the same.
    With two sizes and one run of each there is no scatter, and the interval is of documents alone.

    It misleads where the scatter grows or shrinks with size, and where a curve is not straight: a
    line's slope is then an average over these sizes.

    Args:
        x: One per run, such as log10 of compute; at least two different.
        values: One per run.
        draws: (run, resample): the same on resampled documents, NaN where it is refused there; or how
            documents spread a weighted sum of the values, such as `laid_out`.
        tokens: Per document.
        settings: Level, resamples and seed.
        unit: Unit of the slope.
    """
    places, which = np.unique(np.asarray(x, dtype=float), return_inverse=True)
    y = np.asarray(values, dtype=float)
    kinds = [y[which == i] for i in range(places.size)]
    counts = np.array([kind.size for kind in kinds], dtype=float)
    seeds = scatter_of(kinds)
    squares, freedom, bent = _scatter(places, kinds, seeds)
    weights = np.ones_like(counts) if bent else counts
    slope = _slope_of(places, weights)
    each = (slope / counts)[which]
    value = float(each @ y)
    drawn = draws(each) if callable(draws) else each @ draws
    # Each size's mean varies by σ²/runs, or by σ² itself where sizes are what scatters.
    spread = float((slope**2 / (1 if bent else counts)).sum())
    error = math.sqrt(squares / freedom * spread) if freedom else 0.0
    number = over_runs(value, drawn, error, max(freedom, 1), tokens, settings=settings, unit=unit)
    return Slope(number, seeds, freedom, bent)


def _slope_of(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Numbers by which values at x are multiplied to give their weighted least-squares slope."""
    centred = x - (weights * x).sum() / weights.sum()
    slope: np.ndarray = weights * centred / (weights * centred**2).sum()
    return slope


def _scatter(
    places: np.ndarray, kinds: Sequence[np.ndarray], seeds: Scatter
) -> tuple[float, int, bool]:
    """Sum of squares, its degrees of freedom, and whether the sizes are off the line."""
    means = np.array([kind.mean() for kind in kinds])
    counts = np.array([kind.size for kind in kinds], dtype=float)

    def off(weights: np.ndarray) -> float:
        slope = float(_slope_of(places, weights) @ means)
        left = means - slope * places
        left = left - (weights * left).sum() / weights.sum()
        return float((weights * left**2).sum())

    spare, between = places.size - 2, off(counts)
    if spare > 0 and seeds.freedom:
        within = seeds.squares / seeds.freedom
        excess = between / spare / within if within else math.inf if between else 0.0
        if fdtrc(spare, seeds.freedom, excess) < POOLED_ABOVE:
            return off(np.ones_like(counts)), spare, True
    return between + seeds.squares, max(spare, 0) + seeds.freedom, False
