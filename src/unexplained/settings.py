"""How intervals are made: level, resamples and seed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real

from unexplained.errors import MeasurementError, require_count

FEWEST_DOCUMENTS = 5
"""With fewer documents no interval is given."""


@dataclass(frozen=True)
class Settings:
    """How intervals are made. One object for a whole assay, so that what resamples is paired.

    Raises:
        MeasurementError: The level is not between 0 and 1, there are too few resamples for it, or
            the seed is no whole number from 0 on.
    """

    level: float = 0.95
    """Share of repetitions in which the interval should hold the truth."""
    resamples: int = 2000
    """Bootstrap resamples of the documents, where an interval is made by them."""
    seed: int = 0

    def __post_init__(self) -> None:
        require_count("resamples", self.resamples, least=1)
        require_count("seed", self.seed, least=0)
        if not isinstance(self.level, Real) or not 0 < self.level < 1:
            raise MeasurementError(
                f"Intervals at level {self.level}",
                "a level lies between 0 and 1",
                "Write 0.95 for 95%.",
            )
        fewest = math.ceil(2 / (1 - self.level))
        if self.resamples < fewest:
            raise MeasurementError(
                f"Intervals at level {self.level} from {self.resamples} resamples",
                "that is fewer than one resample beyond each end",
                f"Ask for at least {fewest}, better 50 times as many.",
            )
