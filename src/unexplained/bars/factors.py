"""Where against how much: which half of an attention rule its shortfall comes from.

A rule for a head's pattern says where attention goes and how much of it. Swapping the model's own
placement or its own amount into the rule, alone and together, gives a 2 × 2 of conditions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from unexplained.bars.recovered import INTACT, recovered, regained
from unexplained.errors import MeasurementError
from unexplained.ledger import ALL, Ledger
from unexplained.record import Factor, Number
from unexplained.shares import percent, untold
from unexplained.stats import Settings

LookedUpBy = Literal["rule", "own"]
Amount = Literal["all", "own"]

CELLS: tuple[tuple[LookedUpBy, Amount], ...] = (
    ("rule", "all"),
    ("own", "all"),
    ("rule", "own"),
    ("own", "own"),
)
"""The bare rule first, the model's own placement and amount last."""


@dataclass(frozen=True)
class FactorReading:
    """The 2 × 2 with what each half regains, as shares of the reference ablation's damage."""

    table: tuple[Factor, ...]
    where: Number
    """Regained over the bare rule by the model's own placement alone."""
    amount: Number
    """Regained over the bare rule by the model's own amount alone."""
    both: Number
    """Regained by both; less or more than the two added where they interact."""
    contrast: Number
    """`where` minus `amount`, paired."""
    sentence: str


def factors(
    ledger: Ledger,
    rows: Mapping[tuple[LookedUpBy, Amount], str],
    reference: str,
    *,
    intact: str = INTACT,
    stratum: tuple[str, str] = ALL,
    settings: Settings,
) -> FactorReading:
    """Weigh a rule's placement against its amount.

    Args:
        ledger: Holds all four conditions, the reference ablation and the intact model.
        rows: The condition in each of the four `CELLS`, keyed by (where, amount).
        reference: The ablation whose damage everything is a share of.
        intact: The condition of the model as it is.
        stratum: Which tokens.
        settings: Level, resamples and seed.

    Raises:
        MeasurementError: A cell has no condition, or a condition was not measured.
    """
    missing = [cell for cell in CELLS if cell not in rows]
    if missing:
        raise MeasurementError(
            "Where against how much",
            "there is no condition for "
            + ", ".join(f"{where} placement, {amount} amount" for where, amount in missing),
            "Give one condition for each of the four cells.",
        )

    def gain(before: tuple[LookedUpBy, Amount], after: tuple[LookedUpBy, Amount]) -> Number:
        return regained(
            ledger,
            rows[before],
            rows[after],
            reference,
            intact=intact,
            stratum=stratum,
            settings=settings,
        )

    table = tuple(
        Factor(
            where=cell[0],
            amount=cell[1],
            row=rows[cell],
            recovered=recovered(
                ledger, rows[cell], reference, intact=intact, stratum=stratum, settings=settings
            ),
        )
        for cell in CELLS
    )
    bare: tuple[LookedUpBy, Amount] = ("rule", "all")
    where, amount = gain(bare, ("own", "all")), gain(bare, ("rule", "own"))
    both, contrast = gain(bare, ("own", "own")), gain(("rule", "own"), ("own", "all"))
    said = _sentence(where, amount, both, contrast, reference)
    return FactorReading(table, where, amount, both, contrast, said)


def _sentence(where: Number, amount: Number, both: Number, contrast: Number, ablation: str) -> str:
    for number in (contrast, where, amount, both):
        if why := untold(number):
            return f"Where and how much cannot be weighed: {why}."
    if not (where.above_zero or amount.above_zero):
        worse = [
            name for name, number in (("placement", where), ("amount", amount)) if number.below_zero
        ]
        opening = (
            f"The rule does better than the model's own {' and '.join(worse)}"
            if worse
            else "Neither where nor how much, put right alone, is told from zero"
        )
    elif contrast.above_zero:
        opening = "Where the attention goes costs more than how much"
    elif contrast.below_zero:
        opening = "How much attention there is costs more than where it goes"
    else:
        opening = "Whether where or how much costs more is not told"
    shares = [percent(number) for number in (where, amount, both)]
    return (
        f"{opening}: of the damage of '{ablation}' the model's own placement alone regains "
        f"{shares[0]}, its own amount alone {shares[1]}, both {shares[2]}."
    )
