"""Draws of a curve as columns: what losses they have at a compute, and where they have a loss."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np


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
class LawDraws:
    """Draws of E + A·C^(−α)."""

    table: np.ndarray
    """(draw, 3): E, A, α."""

    @property
    def count(self) -> int:
        """How many."""
        return len(self.table)

    def losses(self, compute: float) -> np.ndarray:
        """See `Draws`."""
        floor, scale, alpha = self.table.T
        return np.asarray(floor + np.exp(np.log(scale) - alpha * math.log(compute)))

    def log_compute(self, losses: np.ndarray) -> np.ndarray:
        """See `Draws`."""
        (floor, scale, alpha), losses = _alike(self.table, losses)
        above = losses - floor
        log = np.log(np.where(above > 0, above, 1.0))
        return np.where(above > 0, (np.log(scale) - log) / alpha, np.inf)


@dataclass(frozen=True, eq=False)
class BendDraws:
    """Draws of ln L = ℓ − α·u + c·u², all about one middle."""

    table: np.ndarray
    """(draw, 3): ℓ, α, c."""
    middle: float
    """ln C at which u is 0."""

    @property
    def count(self) -> int:
        """How many."""
        return len(self.table)

    def losses(self, compute: float) -> np.ndarray:
        """See `Draws`."""
        level, alpha, curvature = self.table.T
        u = math.log(compute) - self.middle
        return np.asarray(np.exp(level - alpha * u + curvature * u * u))

    def log_compute(self, losses: np.ndarray) -> np.ndarray:
        """See `Draws`: on the side of a draw's turn where its loss falls."""
        (level, alpha, curvature), losses = _alike(self.table, losses)
        left = level - np.log(losses)
        square = alpha**2 - 4 * curvature * left
        root = np.sqrt(np.maximum(square, 0.0))
        with np.errstate(divide="ignore", invalid="ignore"):
            # The same root twice: each form loses its digits where the other keeps them.
            u = np.where(alpha > 0, 2 * left / (alpha + root), (alpha - root) / (2 * curvature))
        beyond = np.where(curvature > 0, np.inf, -np.inf)
        return np.where(square >= 0, self.middle + u, beyond)


@dataclass(frozen=True, eq=False)
class MixedDraws:
    """Draws that are each of the form that its own data chose."""

    law: LawDraws
    bend: BendDraws
    bent: np.ndarray
    """Whether a draw is a bend."""

    @property
    def count(self) -> int:
        """How many."""
        return self.law.count

    def losses(self, compute: float) -> np.ndarray:
        """See `Draws`."""
        return np.where(self.bent, self.bend.losses(compute), self.law.losses(compute))

    def log_compute(self, losses: np.ndarray) -> np.ndarray:
        """See `Draws`."""
        bend, law = self.bend.log_compute(losses), self.law.log_compute(losses)
        return np.where(np.resize(self.bent, bend.size), bend, law)


def _alike(table: np.ndarray, losses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns of the draws and losses, the fewer gone through again."""
    count = max(len(table), losses.size)
    columns = np.stack([np.resize(column, count) for column in table.T])
    return columns, np.resize(losses, count)
