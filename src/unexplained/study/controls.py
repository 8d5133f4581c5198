"""What may be measured beside a claim, before it is known which of it can tell."""

from __future__ import annotations

from unexplained.explanations.stand_in import StandIn


def possible_controls(primary: StandIn) -> tuple[StandIn, ...]:
    """All that may be measured beside a claim; `arms.claims` picks."""
    claims = [primary, *([mapped] if (mapped := primary.with_map()) else [])]
    kinds = [one.on_shuffled(moved=moved) for one in claims for moved in (False, True)]
    return (*kinds, *primary.ends())
