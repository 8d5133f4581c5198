"""Terms of heads as arms: of some heads only some paths are kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from unexplained.bars.cards import Must
from unexplained.bars.joints import name_of
from unexplained.circuits.kept_paths import EVERYTHING, KeptPaths, PathTerm, keeping
from unexplained.record.blocks import Role
from unexplained.sites import Site
from unexplained.study.arm import Arm, arm
from unexplained.study.run import Run

ALL = PathTerm("everything kept", "All paths: the head itself.", EVERYTHING, EVERYTHING, EVERYTHING)
FLOOR = 1e-5
"""Nats per token by which a pass of parts may differ from the model's own: arithmetic in another order."""


def paths(
    run: Run, terms: Sequence[PathTerm], wrong: PathTerm, groups: Sequence[Sequence[Site]]
) -> list[Arm]:
    """Every term of every group of heads, called `<term> at <heads>`; the first brings the controls.

    Args:
        run: On one text, on whose fit part means of what is left out are taken.
        terms: What is kept.
        wrong: What is claimed, through a head that it is not claimed of: shown beside it.
        groups: Heads whose paths are cut together; each group's mean ablation has its name.

    Raises:
        CircuitError: The model is none that can be multiplied out.
    """
    sites = list(dict.fromkeys(site for group in groups for site in group))
    kept: KeptPaths = keeping(
        run.subject, run.text, [*terms, wrong, ALL], sites, **run.how("what paths leave out")
    )
    return [one for group in groups for one in _of(kept, terms, wrong, group)]


def _of(
    kept: KeptPaths, terms: Sequence[PathTerm], wrong: PathTerm, group: Sequence[Site]
) -> list[Arm]:
    ablated = name_of(group)
    first = f"{terms[0].name} at {ablated}"

    def made(term: PathTerm, role: Role, **card: Any) -> Arm:
        condition = kept.condition(f"{term.name} at {ablated}", term, group)
        return arm(condition, role=role, says=term.says, **card)

    controls = (
        made(ALL, "control", of=first, must=Must(
            gives="the same", of="intact", tolerance=FLOOR,
            expected=f"the intact model's loss, to {FLOOR:g} nats per token: all paths are the head")),
        made(wrong, "control", of=first),
    )  # fmt: skip
    claim = made(terms[0], "explanation", method="mech", controls=controls)
    return [claim, *(made(one, "explanation", method="mech", of=first) for one in terms[1:])]
