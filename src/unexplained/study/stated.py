"""Rules that are compared; those of induction (MISSION 24), from the plainest to the best supported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from unexplained.bars.factors import Amount, LookedUpBy
from unexplained.explanations import LIBRARY
from unexplained.explanations.ends import NOTHING
from unexplained.explanations.stand_in import StandIn


@dataclass(frozen=True)
class Rules:
    """Explanations of the same components that are to be compared."""

    explanations: tuple[StandIn, ...]
    primary: StandIn
    """The one whose strata, token view and controls are shown first."""
    cells: Mapping[tuple[LookedUpBy, Amount], str] = field(default_factory=dict)
    """The four conditions of where against how much, if they have them."""
    nested: tuple[str, ...] = ()
    """Those of which each, once fitted, contains the one before."""


def induction_rules() -> Rules:
    """Neighbouring rules, strict induction and its variants, and what the head itself does."""
    known = LIBRARY.all()
    strict, own = known["strict_induction"], known["own_attention_on_targets"]
    gated, affine = strict.gated(), strict.affine()
    explanations = (
        known["previous_token"],
        known["duplicate_token"],
        strict,
        strict.with_rest("first"),
        known["long_prefix_induction"],
        known["disambiguating_induction"],
        known["own_placement"],
        known["own_amount"],
        own,
        gated,
        affine,
        own.affine(),
    )
    cells: dict[tuple[LookedUpBy, Amount], str] = {
        ("rule", "all"): strict.name,
        ("own", "all"): known["own_placement"].name,
        ("rule", "own"): known["own_amount"].name,
        ("own", "own"): own.name,
    }
    # A gate of nothing is no explanation, a map that is a multiple is a gate.
    return Rules(explanations, strict, cells, (NOTHING.name, gated.name, affine.name))
