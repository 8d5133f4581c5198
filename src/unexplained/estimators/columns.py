"""Many components on the same documents: means per token and their linearised errors."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from unexplained.errors import MeasurementError
from unexplained.estimators.tails import longer
from unexplained.sums import checked_rows


@dataclass(frozen=True)
class Ratios:
    """Sums of many components over sums of tokens."""

    mean: np.ndarray
    """(component,) total per token."""
    parts: np.ndarray
    """(component, document): each document's part in the deviation of the mean, linearised, scaled
    so that the standard error of any combination of components is the root of its square sum."""
    tokens: np.ndarray
    """(document,)"""
    documents: int
    """Documents with tokens."""

    @property
    def error(self) -> np.ndarray:
        """(component,) standard error of the mean."""
        return np.asarray(np.sqrt((self.parts**2).sum(1)))

    def ends(self, quantile: float) -> tuple[np.ndarray, np.ndarray]:
        """Ends (component,) of intervals so many standard errors long, tails counted."""
        some = self.tokens > 0
        below, above = longer(self.parts[:, some], self.tokens[some])
        reach = quantile * self.error
        return self.mean - reach * below, self.mean + reach * above


def ratios(effects: np.ndarray, tokens: np.ndarray, *, fewest: int) -> Ratios:
    """Means per token of (component, document) sums.

    Raises:
        MeasurementError: As for `stats.mean_per_token`, or fewer than `fewest` documents have tokens.
    """
    effects, tokens = checked_rows(tokens, effects=effects)
    asked = f"Effects of components on {tokens.size} documents"
    if effects.ndim != 2:
        found = f"effects have shape {effects.shape}"
        raise MeasurementError(asked, found, "Give (component, document) and (document,).")
    documents = int(np.count_nonzero(tokens))
    if documents < fewest:
        raise MeasurementError(asked, f"{documents} have tokens and it takes {fewest}")
    mean = effects.sum(1) / tokens.sum()
    scale = math.sqrt(documents / (documents - 1)) / tokens.sum()
    return Ratios(mean, (effects - mean[:, None] * tokens) * scale, tokens, documents)
