"""Many curves of one form as columns: fitted together, asked together.

Draws of a fit are such columns, and so is the fit itself, as one row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self

import numpy as np

from unexplained.curves.bend import Bend, middle_of, solve_bend
from unexplained.curves.curve import Curve
from unexplained.curves.shift import Shift, solve_shift
from unexplained.curves.solve import solve

AnyCurve = Curve | Bend | Shift
Form = Literal["law", "bend", "shift"]
"""E + A·C^(−α); ln L quadratic in ln C; A·(C + C₀)^(−α)."""


class Draws(Protocol):
    """Draws of a curve."""

    @property
    def count(self) -> int:
        """How many."""

    def losses(self, compute: float) -> np.ndarray:
        """L at one compute, one per draw."""

    def log_compute(self, losses: np.ndarray) -> np.ndarray:
        """Logs of the compute at which each draw has its loss; as many as the more of the two.

        Infinite where no compute of a draw gets so low, minus infinity where none is so bad.
        """


@dataclass(frozen=True, eq=False)
class CurveDraws:
    """Curves of one form, each a row of three numbers."""

    table: np.ndarray
    """(draw, 3)."""
    middle: float
    """ln C about which they are written."""

    @classmethod
    def fitted(
        cls, sets: np.ndarray, logs: np.ndarray, weights: np.ndarray, *, steps: int = 20
    ) -> Self:
        """Least squares for every data set.

        Args:
            sets: Log losses, (data set, rung).
            logs: Log compute, one per rung.
            weights: One per rung.
            steps: How finely the law is searched (`solve`).
        """
        table = np.empty((0, 3)) if not len(sets) else cls._solved(sets, logs, weights, steps)
        table.flags.writeable = False
        return cls(table, middle_of(logs, weights))

    @property
    def count(self) -> int:
        """How many."""
        return len(self.table)

    def losses(self, compute: float) -> np.ndarray:
        """See `Draws`."""
        return np.asarray(np.exp(self.log_losses(math.log(compute))))

    def log_losses(self, log_compute: float) -> np.ndarray:
        """Ln L at one ln C, one per draw."""
        raise NotImplementedError

    def log_compute(self, losses: np.ndarray) -> np.ndarray:
        """See `Draws`."""
        raise NotImplementedError

    def falls(self, logs: np.ndarray) -> np.ndarray:
        """Whether each is a curve whose loss falls over all of a range."""
        raise NotImplementedError

    def curve(self, **common: Any) -> AnyCurve:
        """The first row as a curve; CurveError where it is none."""
        raise NotImplementedError

    @staticmethod
    def _solved(sets: np.ndarray, logs: np.ndarray, weights: np.ndarray, steps: int) -> np.ndarray:
        raise NotImplementedError

    def _beside(self, losses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Columns of the draws, and losses: the fewer gone through again."""
        count = max(self.count, losses.size)
        return np.stack([np.resize(c, count) for c in self.table.T]), np.resize(losses, count)


class LawDraws(CurveDraws):
    """Laws L = E + A·C^(−α): E, A and α."""

    def log_losses(self, log_compute: float) -> np.ndarray:
        """See `CurveDraws`."""
        floor, scale, alpha = self.table.T
        with np.errstate(all="ignore"):
            return np.asarray(np.log(floor + np.exp(np.log(scale) - alpha * log_compute)))

    def log_compute(self, losses: np.ndarray) -> np.ndarray:
        """See `Draws`."""
        (floor, scale, alpha), losses = self._beside(losses)
        above = losses - floor
        log = np.log(np.where(above > 0, above, 1.0))
        return np.where(above > 0, (np.log(scale) - log) / alpha, np.inf)

    def falls(self, logs: np.ndarray) -> np.ndarray:
        """See `CurveDraws`: wherever one was found."""
        return np.asarray(np.isfinite(self.table).all(axis=1))

    def curve(self, **common: Any) -> Curve:
        """See `CurveDraws`."""
        floor, scale, alpha = self.table[0].tolist()
        return Curve(floor=floor, scale=scale, exponent=alpha, **common)

    @staticmethod
    def _solved(sets: np.ndarray, logs: np.ndarray, weights: np.ndarray, steps: int) -> np.ndarray:
        found = solve(sets, logs, weights, steps=steps)
        return np.stack([found.floor, np.exp(found.log_scale), found.alpha], axis=1)


class BendDraws(CurveDraws):
    """Bends ln L = ℓ − α·u + c·u²: ℓ, α and c."""

    def log_losses(self, log_compute: float) -> np.ndarray:
        """See `CurveDraws`."""
        level, alpha, curvature = self.table.T
        u = log_compute - self.middle
        return np.asarray(level - alpha * u + curvature * u * u)

    def log_compute(self, losses: np.ndarray) -> np.ndarray:
        """See `Draws`: on the side of a draw's turn where its loss falls."""
        (level, alpha, curvature), losses = self._beside(losses)
        left = level - np.log(losses)
        square = alpha**2 - 4 * curvature * left
        root = np.sqrt(np.maximum(square, 0.0))
        with np.errstate(divide="ignore", invalid="ignore"):
            # The same root twice: each form loses its digits where the other keeps them.
            u = np.where(alpha > 0, 2 * left / (alpha + root), (alpha - root) / (2 * curvature))
        beyond = np.where(curvature > 0, np.inf, -np.inf)
        return np.where(square >= 0, self.middle + u, beyond)

    def falls(self, logs: np.ndarray) -> np.ndarray:
        """See `CurveDraws`."""
        u = np.array([logs.min(), logs.max()]) - self.middle
        return np.asarray((2 * self.table[:, 2:] * u < self.table[:, 1:2]).all(axis=1))

    def curve(self, **common: Any) -> Bend:
        """See `CurveDraws`."""
        level, alpha, curvature = self.table[0].tolist()
        return Bend(middle=math.exp(self.middle), log_loss=level, exponent=alpha,
                    curvature=curvature, **common)  # fmt: skip

    @staticmethod
    def _solved(sets: np.ndarray, logs: np.ndarray, weights: np.ndarray, steps: int) -> np.ndarray:
        return solve_bend(sets, logs, weights)


class ShiftDraws(CurveDraws):
    """Shifted power laws A·(C + C₀)^(−α): ℓ, α and C₀ in units of the middle."""

    def log_losses(self, log_compute: float) -> np.ndarray:
        """See `CurveDraws`."""
        level, alpha, start = self.table.T
        ratio = (math.exp(log_compute - self.middle) + start) / (1 + start)
        return np.asarray(level - alpha * np.log(ratio))

    def log_compute(self, losses: np.ndarray) -> np.ndarray:
        """See `Draws`."""
        (level, alpha, start), losses = self._beside(losses)
        with np.errstate(all="ignore"):
            power = np.minimum((level - np.log(losses)) / alpha, 650.0)
            compute = (1 + start) * np.exp(power) - start
            found = self.middle + np.where(compute > 0, np.log(compute), -np.inf)
        # A draw whose loss does not fall says nothing of what compute buys.
        return np.where(alpha > 0, found, np.nan)

    def falls(self, logs: np.ndarray) -> np.ndarray:
        """See `CurveDraws`."""
        return np.asarray(self.table[:, 1] > 0)

    def curve(self, **common: Any) -> Shift:
        """See `CurveDraws`."""
        (level, alpha, start), middle = self.table[0].tolist(), math.exp(self.middle)
        return Shift(middle=middle, log_loss=level, exponent=alpha, start=start * middle, **common)

    @staticmethod
    def _solved(sets: np.ndarray, logs: np.ndarray, weights: np.ndarray, steps: int) -> np.ndarray:
        return solve_shift(sets, logs, weights)


FORMS: dict[Form, type[LawDraws] | type[BendDraws] | type[ShiftDraws]] = {
    "law": LawDraws,
    "bend": BendDraws,
    "shift": ShiftDraws,
}


@dataclass(frozen=True, eq=False)
class MixedDraws:
    """Draws that are each of the form that its own data chose."""

    forms: tuple[CurveDraws, ...]
    which: np.ndarray
    """(draw,): the place of its form among them."""

    @property
    def count(self) -> int:
        """How many."""
        return len(self.which)

    def losses(self, compute: float) -> np.ndarray:
        """See `Draws`."""
        return np.choose(self.which, [one.losses(compute) for one in self.forms])

    def log_compute(self, losses: np.ndarray) -> np.ndarray:
        """See `Draws`."""
        every = [one.log_compute(losses) for one in self.forms]
        return np.choose(np.resize(self.which, every[0].size), every)
