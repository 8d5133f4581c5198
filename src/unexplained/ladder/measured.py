"""Losses of several conditions, and of the same documents resampled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unexplained.bars.paired import paired
from unexplained.ledger import ALL, Ledger
from unexplained.stats import FEWEST_DOCUMENTS, Settings, resampled


@dataclass(frozen=True)
class Measured:
    """Losses by condition (nats per token); in `draws` one for every resample, all paired."""

    values: dict[str, float]
    draws: dict[str, np.ndarray]
    enough: bool
    """Whether there are documents enough for an interval."""

    @classmethod
    def of(cls, ledger: Ledger, names: Sequence[str], settings: Settings) -> Measured:
        """Read conditions from a ledger.

        Raises:
            MeasurementError: A condition was not measured, or on other tokens.
        """
        once = list(dict.fromkeys(names))
        read = paired(ledger, "loss", tuple(once), ALL)
        *rows, tokens = resampled(settings, *read.columns, read.tokens)
        total = read.tokens.sum()
        return cls(
            {n: float(column.sum() / total) for n, column in zip(once, read.columns, strict=True)},
            {name: row / tokens for name, row in zip(once, rows, strict=True)},
            int(np.count_nonzero(read.tokens)) >= FEWEST_DOCUMENTS,
        )
