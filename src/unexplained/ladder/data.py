"""The data share: on how much less data a model of the same size would be as good as explained."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from unexplained.curves import FittedCurve, Surface, fit_surface
from unexplained.curves.place import percentile_ends
from unexplained.errors import CurveError
from unexplained.ladder.catalogue import Trained
from unexplained.ladder.measured import Measured
from unexplained.record import Number
from unexplained.stats import SHARE, Settings

SURFACES = 100
"""Draws of the surface L(N, D): each is a fit of its own."""


class Sized(Protocol):
    """A trained model of a size, on so much data."""

    @property
    def parameters(self) -> int:
        """Of the model."""

    @property
    def tokens(self) -> int:
        """Of its training."""


@dataclass(frozen=True)
class DataScale:
    """A surface L(N, D) through rungs and shorter runs, and draws of it.

    It is made only for a model of whose size there are runs on less data: for any other size the
    surface would be an extrapolation, however tight its interval.
    """

    mine: Trained
    surface: Surface
    draws: tuple[Surface, ...]
    least: int
    """The least data of any run (tokens)."""

    @classmethod
    def through(
        cls,
        models: Sequence[tuple[Sized, str]],
        mine: Trained,
        measured: Measured,
        fitted: FittedCurve,
    ) -> DataScale | None:
        """Fit it; None where no run of this size had less data, or there are too few runs.

        Each draw has its documents resampled, those of the draws of the losses, and every run's
        loss moved by a draw of the scatter about the ladder's curve, itself drawn for what is known of it.

        Args:
            models: Rungs and annealed runs, with the condition that each was measured as.
            mine: The model under study.
            measured: All their losses.
            fitted: The ladder's curve, for its scatter and its seed.
        """
        tokens = {one.tokens for one, _ in models if one.parameters == mine.parameters}
        if len(tokens) < 2:
            return None

        def fit(losses: Sequence[float], near: Surface | None) -> Surface:
            rows = [
                (one.parameters, one.tokens, loss)
                for (one, _), loss in zip(models, losses, strict=True)
            ]
            return fit_surface(rows, name="ladder", near=near)

        try:
            best = fit([measured.values[name] for _, name in models], None)
        except CurveError:
            return None
        rng = np.random.default_rng([fitted.settings.seed, 3])
        spread = fitted.chosen.noise_draws
        spread = np.resize(spread if spread.size else 0.0, SURFACES)[:, None]
        noise = np.exp(spread * rng.standard_normal((SURFACES, len(models))))
        drawn = np.stack([measured.draws[name] for _, name in models], axis=1)
        draws = tuple(fit(list(drawn[i] * noise[i]), best) for i in range(SURFACES))
        return cls(mine, best, draws, min(one.tokens for one, _ in models))

    def share(self, measured: Measured, name: str, model: str, settings: Settings) -> Number:
        """D at which this size reaches the loss, by D at which it reaches the model's own."""
        size, values, draws = self.mine.parameters, measured.values, measured.draws
        value = _share(self.surface, size, values[name], values[model])
        if not 0 < value < math.inf:
            why = "by the surface L(N, D) no data take this size there, or any do"
            return Number(value=None, unit=SHARE, refused=why)
        if _data_for(self.surface, size, values[name]) < self.least:
            why = f"extrapolated: no run has so little data (the least is {self.least:,} tokens)"
            return Number(value=None, unit=SHARE, refused=why)
        found = np.array(
            [
                _share(surface, size, draws[name][i], draws[model][i])
                for i, surface in enumerate(self.draws)
            ]
        )
        low, high = percentile_ends(found, value, settings.level)
        return Number(
            value=value, low=max(low, 0.0), high=high if math.isfinite(high) else None, unit=SHARE
        )


def _share(surface: Surface, size: float, explained: float, model: float) -> float:
    """One share of data.

    Infinite where no data take the size to the explained loss, 0 where none take it to the model's,
    NaN where neither is reached.
    """
    there, whole = (_data_for(surface, size, loss) for loss in (explained, model))
    if math.isinf(there) and math.isinf(whole):
        return math.nan
    return 0.0 if math.isinf(whole) else there / whole if whole > 0 else math.nan


def _data_for(surface: Surface, size: float, loss: float) -> float:
    try:
        return surface.data_for(size, loss)
    except (CurveError, OverflowError, ZeroDivisionError):
        return math.inf
