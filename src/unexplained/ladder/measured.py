"""Losses of several conditions, and of the same documents resampled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from unexplained.bars.paired import paired
from unexplained.ledger import ALL, Ledger
from unexplained.stats import Settings, resampled, too_few


@dataclass(frozen=True)
class Measured:
    """Losses by condition (nats per token unless said); in `draws` one for every resample, all paired."""

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
        return cls.of_sums(dict(zip(once, read.columns, strict=True)), read.tokens, settings)

    @classmethod
    def of_sums(
        cls, sums: Mapping[str, np.ndarray], sizes: np.ndarray, settings: Settings
    ) -> Measured:
        """From sums of losses by document, and what they are divided by: tokens or bytes."""
        *rows, drawn = resampled(settings, *sums.values(), sizes)
        return cls(
            {name: float(column.sum() / sizes.sum()) for name, column in sums.items()},
            {name: row / drawn for name, row in zip(sums, rows, strict=True)},
            not too_few(sizes),
        )
