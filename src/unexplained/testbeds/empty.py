"""`empty`: the head attends by strict induction and writes nothing.

There is nothing to recover: with any ablation the loss stays what it was, to the last bit, and
a fraction of nothing must be refused. A pattern that looks right is not a use.
"""

from __future__ import annotations

from unexplained.testbeds.background import PLANTED_AT
from unexplained.testbeds.planted import Plan, register
from unexplained.testbeds.strict_induction import strict_induction
from unexplained.testbeds.weights import silenced


@register
def empty() -> Plan:
    """As `strict_induction`, with an output matrix of zeros."""
    plan = strict_induction()
    return Plan(
        truth="Attends by strict induction and writes nothing: the model is uniform everywhere.",
        sites=plan.sites,
        text=plan.text,
        decoys=(),
        worth=False,
        heads={**plan.heads, PLANTED_AT: silenced(plan.heads[PLANTED_AT])},
        rule=plan.rule,
        notes=plan.notes,
    )
