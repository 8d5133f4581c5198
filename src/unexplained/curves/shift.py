"""A power law of C + C₀: flat where training has not begun to tell, straight beyond."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from unexplained.curves.curve import positive, require_range
from unexplained.errors import CurveError
from unexplained.stats import NATS

GRID = 320
"""Values of C₀ that are tried: steps of 4% over five decades, finer than any ladder can tell."""
LEAST = 1e-3
"""The least C₀ but 0, as a share of the least compute; the greatest is the greatest compute."""


@dataclass(frozen=True)
class Shift:
    """L = A·(C + C₀)^(−α): before C₀ compute changes little, long after it this is a power law.

    With as many numbers as E + A·C^(−α). Its loss falls faster with more compute at first and then by
    α throughout, and it has a greatest loss, that of no training. No floor: it misleads where the
    loss flattens again.

    Raises:
        CurveError: A number is not finite, α or the middle is not positive, or C₀ or the spread is
            negative.

    >>> shift = Shift("hand", 1.0, math.log(4), 0.5, 3.0)  # 8 / sqrt(C + 3)
    >>> round(shift.loss(13.0), 6), round(shift.compute(2.0), 6), round(shift.ceiling, 6)
    (2.0, 13.0, 4.618802)
    """

    name: str
    middle: float
    """Compute at which ln L is `log_loss` (FLOPs)."""
    log_loss: float
    exponent: float
    """α."""
    start: float
    """C₀ (FLOPs)."""
    fitted: tuple[float, float] | None = None
    """Least and greatest training compute that it was fitted on."""
    unit: str = NATS
    says: str = ""
    spread: float = 0.0
    """Standard deviation of the log losses of single runs around it."""

    def __post_init__(self) -> None:
        numbers = (self.middle, self.log_loss, self.exponent, self.start, self.spread)
        asked = f"A curve {self.name!r} of ln L {self.log_loss}, α {self.exponent}, C₀ {self.start}"
        if not all(math.isfinite(number) for number in numbers):
            raise CurveError(asked, "a number is not finite")
        if min(self.middle, self.exponent) <= 0 or min(self.start, self.spread) < 0:
            raise CurveError(
                asked, "α or the middle is not above 0, or C₀ or the spread is below 0"
            )
        require_range(asked, self.fitted)

    @property
    def floor(self) -> float:
        """The least loss: 0, at no compute."""
        return 0.0

    @property
    def ceiling(self) -> float:
        """The loss of no training."""
        if not self.start:
            return math.inf
        return math.exp(self.log_loss + self.exponent * math.log1p(self.middle / self.start))

    def loss(self, compute: float) -> float:
        """L at a compute in FLOPs, in `unit`.

        Raises:
            CurveError: The compute is not positive and finite.
        """
        positive(f"The loss of {self.name!r}", compute=compute)
        ratio = (compute + self.start) / (self.middle + self.start)
        return math.exp(self.log_loss - self.exponent * math.log(ratio))

    def compute(self, loss: float) -> float:
        """The FLOPs that buy a loss.

        Raises:
            CurveError: The loss is not between 0 and `ceiling`.
        """
        if not 0 < loss < self.ceiling:
            asked = f"The compute at which {self.name!r} has a loss of {loss:.6g} {self.unit}"
            raise CurveError(asked, f"its losses are between 0 and {self.ceiling:.6g}")
        power = (self.log_loss - math.log(loss)) / self.exponent
        if power > 650:
            return math.inf
        return (self.middle + self.start) * math.exp(power) - self.start

    def slope(self, compute: float) -> float:
        """dL/d ln C at a compute in FLOPs, in `unit` per e-fold of compute.

        Raises:
            CurveError: The compute is not positive and finite.
        """
        return -self.exponent * self.loss(compute) * compute / (compute + self.start)


def solve_shift(log_losses: np.ndarray, log_compute: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Minimise Σ w (ln L − ℓ + α·ln((C + C₀)/(M + C₀)))², M the weighted middle of ln C.

    For a given C₀ it is a straight line, whose sum of squares is a form of the losses that no loss
    changes: all of a grid of C₀, 0 among them, are looked at for all data sets at once.

    Args:
        log_losses: Natural logs of losses, (data set, rung).
        log_compute: Natural logs of FLOPs, one per rung.
        weights: One per rung.

    Returns:
        ℓ, α and C₀ in units of M, (data set, 3).

    >>> logs = np.log([1.0, 10.0, 100.0])
    >>> found = solve_shift(-0.5 * np.log(np.exp(logs) + 10)[None], logs, np.ones(3))
    >>> found.round(1)[0].tolist()  # C₀ is once the middle
    [-1.5, 0.5, 1.0]
    """
    middle = float(np.average(log_compute, weights=weights))
    compute, share = np.exp(log_compute - middle), weights / weights.sum()
    starts = np.r_[0.0, np.geomspace(LEAST * compute.min(), compute.max(), GRID)]
    lines = np.log((compute + starts[:, None]) / (1 + starts[:, None]))
    means = lines @ share
    about = (lines - means[:, None]) * share
    squares = (about * lines).sum(axis=1)
    # What a line takes off the sum of squares of the losses about their mean.
    slopes = log_losses @ about.T / squares
    best = (slopes**2 * squares).argmax(axis=1)
    slope = np.take_along_axis(slopes, best[:, None], axis=1)[:, 0]
    level = log_losses @ share - slope * means[best]
    return np.column_stack([level, -slope, starts[best]])
