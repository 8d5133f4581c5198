"""Every rung of a ladder foretold from the others: whether the curve's intervals hold here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unexplained.curves.fit import FittedCurve, fit_curve
from unexplained.curves.place import PlacedLoss, compute_of, laws_of
from unexplained.curves.points import FEWEST_RUNGS, TrainedPoint, gathered
from unexplained.errors import CurveError
from unexplained.record import Number
from unexplained.stats import Settings


@dataclass(frozen=True)
class LeftOut:
    """One rung against the curve of the others."""

    rung: str
    compute: float
    """FLOPs that it was trained with."""
    loss: float
    """What it reached: the geometric mean over its seeds."""
    predicted: Number
    """Its loss by the others' curve. The interval is for such runs, so it holds their scatter."""
    covered: bool | None
    """Whether `loss` is in it; None without an interval."""
    placed: PlacedLoss
    """The compute of `loss` by the others' curve, the scatter of its own runs carried along."""
    compute_covered: bool | None
    """Whether `compute` is in it; None where it is refused or without an interval."""
    extrapolated: bool
    """Whether it is the least or the greatest, foretold from rungs on one side only."""


def leave_one_out(points: Sequence[TrainedPoint], settings: Settings) -> tuple[LeftOut, ...]:
    """Fit a curve without each rung in turn and ask it for that rung.

    The check that a ladder carries with it. With six rungs a 95% interval that misses one is no
    news, one that misses two is (3% by chance, if they were independent). End rungs are
    extrapolated, and tell how far that may be trusted.

    Args:
        points: Measured losses with their computes, one for each rung.
        settings: Level and seed of intervals.

    Raises:
        CurveError: There are fewer than four rungs, or as for `fit_curve` without one of them.
    """
    ladder = gathered(points)
    if len(ladder.rungs) <= FEWEST_RUNGS:
        found = f"there are {len(ladder.rungs)} and the others must be at least {FEWEST_RUNGS}"
        raise CurveError("Foretelling each rung from the others", found, "Train one more.")
    out = []
    for at, rung in enumerate(ladder.rungs):
        curve = fit_curve([point for point in points if point.rung != rung], settings)
        out.append(
            _left_out(
                curve,
                rung,
                float(ladder.compute[at]),
                float(np.exp(ladder.log_loss[at])),
                int(ladder.seeds[at]),
                end=at in (0, len(ladder.rungs) - 1),
            )
        )
    return tuple(out)


def _left_out(
    fitted: FittedCurve, rung: str, compute: float, loss: float, seeds: int, *, end: bool
) -> LeftOut:
    unit = fitted.curve.unit
    value = fitted.curve.loss(compute)
    predicted, own = Number(value=value, unit=unit), None
    if fitted.draws.count:
        scatter = _scatter(fitted, seeds)
        low, high = laws_of(fitted).ends(
            lambda draws: draws.losses(compute) * scatter, value, beyond=end
        )
        predicted = Number(value=value, low=low, high=high, unit=unit)
        own = loss * scatter
    placed = compute_of(fitted, Number(value=loss, unit=unit), draws=own, extrapolate=True)
    return LeftOut(
        rung=rung,
        compute=compute,
        loss=loss,
        predicted=predicted,
        covered=_holds(predicted, loss),
        placed=placed,
        compute_covered=_holds(placed.compute, compute),
        extrapolated=end,
    )


def _scatter(fitted: FittedCurve, seeds: int) -> np.ndarray:
    """Factors by which the mean of so many runs may miss the curve, one per draw."""
    rng = np.random.default_rng([fitted.settings.seed, 2])
    # Where the misfit is not the seeds', more of them do not make it smaller.
    runs = seeds if fitted.chosen.pooled else 1
    normal = rng.standard_normal(len(fitted.chosen.noise_draws))
    return np.asarray(np.exp(fitted.chosen.noise_draws * normal / math.sqrt(runs)))


def _holds(number: Number, truth: float) -> bool | None:
    if number.value is None or number.low is None:
        return None
    return number.low <= truth <= (math.inf if number.high is None else number.high)
