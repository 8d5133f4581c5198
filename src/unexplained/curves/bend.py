"""A curve that bends: ln L is quadratic in ln C, where no law with a floor can follow the rungs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from unexplained.curves.curve import positive, require_range
from unexplained.errors import CurveError
from unexplained.stats import NATS


@dataclass(frozen=True)
class Bend:
    """ln L = ℓ − α·u + c·u² with u = ln(C / middle): a power law whose exponent moves with compute.

    The second order of whatever smooth law holds, with as many numbers as E + A·C^(−α). With c < 0
    the loss falls faster with more compute, as E + A·C^(−α) with E ≥ 0 never does; with c > 0 it
    flattens. It stands for its rungs alone: the parabola turns at u = α / 2c, so beyond them it says
    less than a law would, and beyond its turn nothing.

    Raises:
        CurveError: A number is not finite, the middle is not positive, the spread is negative, or the
            loss does not fall over the whole range.

    >>> bend = Bend("hand", 1.0, math.log(8), 1.0, -0.1)
    >>> round(bend.loss(math.e), 6) == round(8 * math.exp(-1.1), 6)
    True
    """

    name: str
    middle: float
    """Compute at which u is 0 (FLOPs)."""
    log_loss: float
    """ℓ: ln L there."""
    exponent: float
    """α there: −d ln L / d ln C."""
    curvature: float
    """c: half of how fast d ln L / d ln C changes."""
    fitted: tuple[float, float] | None = None
    """Least and greatest training compute that it was fitted on."""
    unit: str = NATS
    says: str = ""
    spread: float = 0.0
    """Standard deviation of the log losses of single runs around it."""

    def __post_init__(self) -> None:
        numbers = (self.middle, self.log_loss, self.exponent, self.curvature, self.spread)
        asked = (
            f"A bend {self.name!r} of ln L {self.log_loss}, α {self.exponent}, c {self.curvature}"
        )
        if not all(math.isfinite(number) for number in numbers):
            raise CurveError(asked, "a number is not finite")
        if self.middle <= 0 or self.spread < 0:
            raise CurveError(asked, "the middle is not above 0 or the spread is below 0")
        require_range(asked, self.fitted)
        if any(self.slope(compute) >= 0 for compute in self.fitted or (self.middle,)):
            raise CurveError(asked, "its loss does not fall over the whole range")

    @property
    def floor(self) -> float:
        """The least loss: that of its turn where it flattens, else 0."""
        return math.exp(self._turn) if self.curvature > 0 else 0.0

    @property
    def ceiling(self) -> float:
        """The greatest loss: that of its turn where it falls ever faster, else without end."""
        return math.exp(self._turn) if self.curvature < 0 and self._turn < 709 else math.inf

    @property
    def _turn(self) -> float:
        return self.log_loss - self.exponent**2 / (4 * self.curvature)

    def loss(self, compute: float) -> float:
        """L at a compute in FLOPs, in `unit`; beyond its turn it rises, which means nothing.

        Raises:
            CurveError: The compute is not positive and finite.
        """
        positive(f"The loss of {self.name!r}", compute=compute)
        u = math.log(compute) - math.log(self.middle)
        return math.exp(min(self.log_loss - self.exponent * u + self.curvature * u * u, 709.0))

    def compute(self, loss: float) -> float:
        """The FLOPs that buy a loss, on the side of the turn where the loss falls.

        Raises:
            CurveError: The loss is not between `floor` and `ceiling`.

        >>> bend = Bend("hand", 1.0, math.log(8), 1.0, -0.1)
        >>> round(bend.compute(8 * math.exp(-1.1)), 6) == round(math.e, 6)
        True
        """
        asked = f"The compute at which {self.name!r} has a loss of {loss:.6g} {self.unit}"
        if not self.floor < loss < self.ceiling:
            found = f"its losses are between {self.floor:.6g} and {self.ceiling:.6g}"
            raise CurveError(asked, found)
        left = self.log_loss - math.log(loss)
        root = math.sqrt(max(self.exponent**2 - 4 * self.curvature * left, 0.0))
        power = math.log(self.middle) + 2 * left / (self.exponent + root)
        return math.exp(power) if power < 709 else math.inf

    def slope(self, compute: float) -> float:
        """dL/d ln C at a compute in FLOPs, in `unit` per e-fold of compute.

        Raises:
            CurveError: The compute is not positive and finite.
        """
        u = math.log(compute) - math.log(self.middle)
        return self.loss(compute) * (2 * self.curvature * u - self.exponent)


def solve_bend(log_losses: np.ndarray, log_compute: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Minimise Σ w (ln L − ℓ + α·u − c·u²)² in closed form, u from the weighted middle of ln C.

    Args:
        log_losses: Natural logs of losses, (data set, rung).
        log_compute: Natural logs of FLOPs, one per rung.
        weights: One per rung.

    Returns:
        ℓ, α and c, (data set, 3).

    >>> u = np.array([-1.0, 0.0, 1.0])
    >>> solve_bend((1.0 - 0.5 * u - 0.1 * u * u)[None], u + 7.0, np.ones(3)).round(6).tolist()
    [[1.0, 0.5, -0.1]]
    """
    u, root = log_compute - middle_of(log_compute, weights), np.sqrt(weights)
    design = np.stack([np.ones_like(u), -u, u * u], axis=1)
    return np.asarray((log_losses * root) @ np.linalg.pinv(design * root[:, None]).T)


def middle_of(log_compute: np.ndarray, weights: np.ndarray) -> float:
    """Ln C at which u is 0."""
    return float(np.average(log_compute, weights=weights))
