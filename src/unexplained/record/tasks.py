"""The record of narrow tasks: the same explanation on each of them beside the full distribution."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from unexplained.record.base import Frozen, KindRecord, Number


class TaskPoint(Frozen):
    """The model with so many components explained, on one task."""

    count: int
    loss: Number
    recovered: Number
    """f by loss, against the mean ablation of the same components, on this task."""
    accuracy: Number
    """Share of predictions that are right: top-1 on text, the answer preferred on pairs."""
    kept: Number | None = None
    """accuracy / the model's, by document; null in records of before."""
    gap: Number | None = None
    """(accuracy − weak) / (strong − weak), against the reference weaker model."""


class Weaker(Frozen):
    """A weaker model on one task."""

    name: str
    loss: Number
    accuracy: Number


class Task(Frozen):
    """One task: a text, or the tokens of one stratum of it."""

    name: str
    says: str
    unit: str
    """What `tokens` counts: predicted tokens, or pairs."""
    tokens: int
    intact: Number
    """Loss of the intact model."""
    accuracy: Number
    ablated: Number
    """Accuracy with all components mean-ablated."""
    weaker: tuple[Weaker, ...]
    """In the order of the ladder."""
    jump: Number
    """Largest rise of accuracy from one weaker model to the next, as a share of the whole rise
    along them and up to the model: near 1 where the task appears all at once. Chosen on the
    documents that it is measured on: rather too large, and its interval with it."""
    jump_at: str
    """Between which two."""
    points: tuple[TaskPoint, ...]
    by_accuracy: Number | None = None
    """With all components replaced, (accuracy − ablated) / (model − ablated), by document; null in
    records of before."""
    better: float | None = None
    """p-value that it is not right more often than the reference, corrected for the number of
    narrow tasks (Holm); null where there are too few documents, or no reference."""


class TasksRecord(KindRecord):
    """The same explanations on narrow tasks and on the full distribution (MISSION 13–16)."""

    kind: Literal["tasks"] = "tasks"
    texts: dict[str, str] = Field(default_factory=dict)
    """Of every task by name: the fingerprint of its text."""
    components: int
    order: tuple[str, ...]
    """In which the components are replaced."""
    reference: str
    """The weaker model that `gap` is against; empty where there is none."""
    reference_runs: tuple[str, ...] = ()
    """Runs of it that differ by their seed: `better` holds against each of them."""
    tasks: tuple[Task, ...]
    """The full distribution first."""
