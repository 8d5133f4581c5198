"""Whether the model has the behaviour that a text of pairs is about, before anything is said of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from unexplained.bars.measures import measure_of
from unexplained.bars.paired import paired
from unexplained.bars.recovered import INTACT
from unexplained.errors import MeasurementError
from unexplained.evaluate.evaluate import evaluate
from unexplained.ledger import ALL
from unexplained.record import Number
from unexplained.stats import SHARE, Settings, mean_per_token, written
from unexplained.subject import Subject
from unexplained.text import Text


@dataclass(frozen=True)
class Gate:
    """The intact model on a text of pairs."""

    accuracy: Number
    """How often it prefers the answer; by chance 0.5."""
    margin: Number
    """Logit of the answer minus logit of the wrong one (logits per pair)."""
    passed: bool
    """The whole interval of the accuracy is above chance."""


def gate(subject: Subject, text: Text, *, settings: Settings, folder: Path | None = None) -> Gate:
    """Measure how well the intact model does on pairs.

    Every pair counts with its role-swap, so a preference for one of the two words gives exactly
    one half. With fewer documents than an interval takes, nobody passes.
    """
    ledger = evaluate(subject, text, [], measure="margin", folder=folder)

    def mean(column: str, unit: str) -> Number:
        read = paired(ledger, column, (INTACT,), ALL)
        return mean_per_token(read.columns[0], read.tokens, settings=settings, unit=unit)

    accuracy = mean("preferred", SHARE)
    margin = mean("margin", measure_of("logit difference", pairs=True).unit)
    return Gate(accuracy, margin, accuracy.low is not None and accuracy.low > 0.5)


def require_behaviour(found: Gate, subject: Subject, text: Text) -> None:
    """Refuse to explain a behaviour that the model does not have.

    Raises:
        MeasurementError: It prefers the right answer no more often than chance.
    """
    if not found.passed:
        accuracy = written(found.accuracy, scale=100, spec=".0f", mark="%")
        raise MeasurementError(
            f"The behaviour '{text.name}' of {subject.name}",
            f"it prefers the right answer in {accuracy} of {text.predicted} pairs, where chance "
            f"gives 50%; the margin is {written(found.margin)} {found.margin.unit}",
            "Use a behaviour that this model has, or more pairs. To look all the same: "
            "gate=False (--no-gate).",
        )
