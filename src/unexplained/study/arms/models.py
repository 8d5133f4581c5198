"""Another model with the same tokenizer as an arm."""

from __future__ import annotations

from unexplained.evaluate import AnotherModel, Other
from unexplained.record.blocks import Role
from unexplained.study.arm import Arm, arm
from unexplained.subject import Subject


def model(subject: Subject, *, role: Role = "weaker", says: str = "") -> Arm:
    """Predictions of a model, under its own name."""
    other = Other(subject.name, AnotherModel(subject))
    return arm(other, role=role, says=says or "Another model.", method="black-box")
