"""Many components on the same documents: means per token and their linearised errors."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from unexplained.errors import MeasurementError
from unexplained.estimators.tails import longer


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
        MeasurementError: Shapes do not fit, an entry is NaN or infinite, a count is negative, or
            fewer than `fewest` documents have tokens.
    """
    effects, tokens = np.asarray(effects, dtype=float), np.asarray(tokens, dtype=float)
    asked = f"Effects of components on {tokens.size} documents"
    if effects.ndim != 2 or tokens.ndim != 1 or effects.shape[1] != tokens.size:
        found = f"effects have shape {effects.shape} and tokens {tokens.shape}"
        raise MeasurementError(asked, found, "Give (component, document) and (document,).")
    if not (np.isfinite(effects).all() and np.isfinite(tokens).all()):
        bad = np.flatnonzero(~np.isfinite(effects).all(1))
        found = f"component {bad[0]} has" if bad.size else "the tokens have"
        raise MeasurementError(asked, f"{found} an entry that is NaN or infinite")
    if (tokens < 0).any():
        raise MeasurementError(asked, "a document has a negative number of tokens")
    documents = int(np.count_nonzero(tokens))
    if documents < fewest:
        raise MeasurementError(asked, f"{documents} have tokens and it takes {fewest}")
    mean = effects.sum(1) / tokens.sum()
    scale = math.sqrt(documents / (documents - 1)) / tokens.sum()
    return Ratios(mean, (effects - mean[:, None] * tokens) * scale, tokens, documents)
