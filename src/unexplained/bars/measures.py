"""What can be asked of a condition: which column of a ledger, in which unit, from what size on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from unexplained.errors import MeasurementError, near_matches
from unexplained.stats import NATS, SHARE


@dataclass(frozen=True)
class Measure:
    """One number per scored prediction, summed in a column of the ledger."""

    name: str
    says: str
    column: str
    unit: str
    floor: float
    """Changes per prediction below this are rounding of float32 logits, however regular: a
    component that nothing reads still moves a norm's scale in its last digits."""
    needs: Literal["all", "logit difference"]
    """Whether whole rows of logits are needed, or only those of the two answers."""

    @property
    def values(self) -> tuple[float | None, float | None]:
        """Bounds of what is measured, by theorems: least and most."""
        bounds = {"loss": (0.0, None), "KL": (0.0, None), "accuracy": (0.0, 1.0)}
        return bounds.get(self.name, (None, None))

    @property
    def changes(self) -> tuple[float | None, float | None]:
        """Bounds of its change from the intact model, whose divergence from itself is 0."""
        bounds = {"KL": (0.0, None), "accuracy": (-1.0, 1.0)}
        return bounds.get(self.name, (None, None))


def measure_of(name: str, *, pairs: bool) -> Measure:
    """The measure of that name on running text or on pairs of prompts.

    Raises:
        MeasurementError: There is none, or not on running text.

    >>> measure_of("loss", pairs=False).unit
    'nats per token'
    """
    unit = "nats per pair" if pairs else NATS
    right = "how often the answer is preferred" if pairs else "top-1 predictions that are right"
    known = {
        one.name: one
        for one in (
            Measure("loss", "−log probability of what came", "loss", unit, 1e-5, "all"),
            Measure("KL", "divergence from the intact model", "kl", unit, 1e-6, "all"),
            Measure(
                "accuracy", right, "preferred" if pairs else "correct", SHARE, 0.0,
                "logit difference" if pairs else "all",
            ),
            Measure(
                "logit difference", "logit of the answer minus logit of the wrong one", "logit_difference",
                "logits per pair", 1e-4, "logit difference",
            ),
        )
    }  # fmt: skip
    if name not in known:
        raise MeasurementError(
            f"The measure '{name}'", "there is none of that name", near_matches(name, known)
        )
    if name == "logit difference" and not pairs:
        raise MeasurementError(
            "The logit difference on running text",
            "nothing says which two words to compare",
            "Measure the loss, or use a text of pairs such as ioi.",
        )
    return known[name]
