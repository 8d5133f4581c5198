"""A model of which more and more components are explained, on one task: by loss and by accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from unexplained.bars.accuracy import NO_RUNS, UNKNOWN, Accuracies
from unexplained.bars.effects import holm
from unexplained.bars.recovered import INTACT, loss, recovered
from unexplained.ledger import ALL, Ledger
from unexplained.record import Number
from unexplained.stats import Settings


@dataclass(frozen=True)
class TaskStep:
    """The model with so many components explained."""

    loss: Number
    recovered: Number
    """By loss, of what ablating the same components costs."""
    accuracy: Number
    kept: Number
    """accuracy / the model's, by document."""
    gap: Number | None
    """(accuracy − weak) / (strong − weak), against the reference; None where there is none."""


@dataclass(frozen=True)
class OnTask:
    """One task. Accuracy is the share of predictions that are right."""

    name: str
    says: str
    unit: str
    """What `tokens` counts: predicted tokens, or pairs."""
    tokens: int
    loss: Number
    """Of the intact model."""
    accuracy: Number
    ablated: Number
    """Accuracy with all components ablated."""
    weaker: Mapping[str, tuple[Number, Number]]
    """Loss and accuracy by name, in the order of the ladder."""
    steps: Mapping[int, TaskStep]
    """By how many components are explained, all of them last."""
    by_accuracy: Number
    """With all components explained, (accuracy − ablated) / (model − ablated), by document."""
    rise: Number
    """The largest, from one weaker model to the next, as a share of the whole rise up to the model."""
    rise_at: str
    """Between which two."""
    better: float | None = None
    """p-value that it is not right more often than each run of the reference; None where there are
    too few documents, or no reference."""

    @property
    def last(self) -> TaskStep:
        """With all components explained."""
        return self.steps[max(self.steps)]

    @property
    def apart(self) -> bool | None:
        """Whether loss and accuracy say different things; None where they cannot be compared.

        They do where the two intervals have nothing in common.
        """
        kept, cost = self.by_accuracy, self.last.recovered
        if kept.low is None or kept.high is None or cost.low is None or cost.high is None:
            return None
        return kept.high < cost.low or cost.high < kept.low

    @property
    def between(self) -> float | None:
        """The fraction recovered by accuracy minus that by loss, with all components explained."""
        kept, cost = self.by_accuracy.value, self.last.recovered.value
        return None if kept is None or cost is None else kept - cost


def on_task(
    ledger: Ledger,
    steps: Mapping[int, tuple[str, str]],
    weaker: Sequence[str],
    runs: Sequence[str],
    *,
    others: Mapping[str, Sequence[str]] = NO_RUNS,
    name: str,
    says: str = "",
    stratum: tuple[str, str] = ALL,
    pairs: bool = False,
    settings: Settings,
) -> OnTask:
    """The numbers of one task.

    Args:
        ledger: Holds all conditions.
        steps: By how many components are replaced: the explained and the ablated condition.
        weaker: Weaker models, the weakest first.
        runs: The reference among them, and runs that differ from it by their seed; none if empty.
        others: All runs of the weaker models of which there are several.
        name: What the task is called.
        says: What it is, in words.
        stratum: The tokens that are of it.
        pairs: Whether the ledger is of pairs of prompts.
        settings: How intervals are made.

    Raises:
        MeasurementError: A condition or the stratum was not measured.
    """
    right = Accuracies(ledger, settings, stratum, pairs)
    scatter = right.scatter(others) if others else UNKNOWN

    def cost(condition: str) -> Number:
        return loss(ledger, condition, stratum=stratum, settings=settings)

    every, none = steps[max(steps)]
    rise, where = right.largest_rise(weaker, others)
    return OnTask(
        name=name,
        says=says,
        unit="pairs" if pairs else "tokens",
        tokens=int(ledger.sums(INTACT, stratum).tokens.sum()),
        loss=cost(INTACT),
        accuracy=right.of(INTACT),
        ablated=right.of(none),
        weaker={one: (cost(one), right.of(one)) for one in weaker},
        steps={
            count: TaskStep(
                loss=cost(explained),
                recovered=recovered(ledger, explained, ablated, stratum=stratum, settings=settings),
                accuracy=right.of(explained),
                kept=right.of_intact(explained),
                gap=right.gap_score(explained, runs, scatter) if runs else None,
            )
            for count, (explained, ablated) in steps.items()
        },
        by_accuracy=right.recovered(every, none),
        rise=rise,
        rise_at=where,
        better=right.not_better(every, runs),
    )


def among_narrow(tasks: Sequence[OnTask]) -> list[OnTask]:
    """The full distribution and narrow tasks, whose p-values are corrected for their number (Holm).

    Args:
        tasks: The full distribution first, then the narrow tasks.
    """
    tested = [i for i, one in enumerate(tasks) if i and one.better is not None]
    corrected = dict(zip(tested, holm([tasks[i].better or 0.0 for i in tested]), strict=True))
    return [replace(one, better=corrected.get(i, one.better)) for i, one in enumerate(tasks)]
