"""Another model with the same tokenizer as an arm."""

from __future__ import annotations

from unexplained.evaluate import AnotherModel, Other
from unexplained.record.blocks import Role
from unexplained.study.arm import Arm, arm
from unexplained.subject import Subject


def model(one: Subject | Other, *, role: Role = "weaker", says: str = "") -> Arm:
    """Predictions of a model, under its own name or the one that it is given with.

    Args:
        one: An opened model, or predictions that have a name already.
        role: What it stands for in tables.
        says: The sentence beside its name.
    """
    other = one if isinstance(one, Other) else Other(one.name, AnotherModel(one))
    return arm(other, role=role, says=says or "Another model.", method="black-box")
