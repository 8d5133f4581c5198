"""Copy suppression on the direct path: KL by head, document and what of the head is kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unexplained.record import Number
from unexplained.stats import Settings, fraction, mean_per_token

FEWEST_NATS = 1e-6
"""KL below this (nats per prediction) is rounding."""
KEYS = {
    "both": "both",
    "both-distinct": "both, of distinct",
    "ov": "OV",
    "qk": "QK",
    "qk-distinct": "QK, of distinct",
    "other": "both, other tokens",
}


@dataclass(frozen=True)
class OnPath:
    """The direct path of some heads: sums over the predictions of a document."""

    heads: tuple[str, ...]
    conditions: tuple[str, ...]
    """`mean` first."""
    kl: NDArray[np.float64]
    """(head, document, condition)."""
    predictions: NDArray[np.float64]
    """(document,)."""
    settings: Settings

    def on(self, documents: NDArray[np.bool_]) -> OnPath:
        """On some of the documents."""
        return OnPath(
            self.heads, self.conditions, self.kl[:, documents], self.predictions[documents],
            self.settings,
        )  # fmt: skip

    def _kl(self, head: str, condition: str) -> NDArray[np.float64]:
        return self.kl[self.heads.index(head), :, self.conditions.index(condition)]

    def damage(self, head: str) -> Number:
        """KL from the intact model where the head is at its mean (nats per prediction)."""
        return mean_per_token(self._kl(head, "mean"), self.predictions, settings=self.settings)

    def explained(self, head: str, condition: str = "both") -> Number:
        """1 − KL(condition) / KL(mean)."""
        mean = self._kl(head, "mean")
        return fraction(
            mean - self._kl(head, condition), mean, self.predictions, what="KL of the head's mean",
            settings=self.settings, floor=FEWEST_NATS,
        )  # fmt: skip

    def beyond_control(self, head: str) -> Number:
        """What copy suppression explains more than the same rule with other tokens does."""
        more = self._kl(head, KEYS["other"]) - self._kl(head, "both")
        return fraction(
            more, self._kl(head, "mean"), self.predictions, what="KL of the head's mean",
            settings=self.settings, floor=FEWEST_NATS,
        )  # fmt: skip

    def chosen(self, best: int, others: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The heads of which most KL is explained, in nats, and of the rest those whose mean costs most.

        In nats: a share is large by chance where the whole is small.
        """

        def nats(head: str) -> float:
            return float((self._kl(head, "mean") - self._kl(head, "both")).sum())

        first = sorted(self.heads, key=nats, reverse=True)[:best]
        rest = [head for head in self.heads if head not in first]
        rest.sort(key=lambda head: -float(self._kl(head, "mean").sum()))
        return tuple(first), tuple(rest[:others])
