"""The numbers of one row of a record, from a ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unexplained.bars.recovered import (
    INTACT,
    SameAs,
    agreement,
    damage,
    increase,
    kl,
    loss,
    recovered,
    reliability,
    variance_explained,
)
from unexplained.bars.thresholds import distances, nines
from unexplained.errors import MeasurementError, near_matches
from unexplained.ledger import ALL, Ledger
from unexplained.record import Number, Stratum
from unexplained.stats import Settings


@dataclass(frozen=True)
class RowNumbers:
    """Everything that is read of one condition."""

    loss: Number
    increase: Number
    """Loss minus the intact model's, paired by document."""
    kl: Number
    agreement: Number
    """Share of tokens whose top-1 prediction is the intact model's: faithfulness to the model, as
    `recovered` and `kl` are. It says nothing of how often either is right."""
    reliability: Number
    """Share of tokens whose top-1 prediction is the text's: how often the explained model is right,
    whatever the model would have said."""
    recovered: Mapping[str, Number]
    """Fraction of the damage recovered, for every ablation: (L_abl − L_sub)/(L_abl − L_full)."""
    direct: Mapping[str, Number]
    """The same for each kind of direct effect."""
    variance: Number | None
    """Share of the variance of the components' outputs explained, on the intact run."""
    bars: Mapping[str, Number]
    """Recovered minus each bar (0.5, 0.8, …). No bar is a pass mark."""
    nines: Number
    """−log10(1 − recovered): 2 means 99%."""
    strata: tuple[Stratum, ...] = ()


def measure_row(
    ledger: Ledger,
    name: str,
    *,
    ablations: Sequence[str],
    reference: str,
    direct: Mapping[str, tuple[str, str]],
    variance: tuple[str, str] | None,
    settings: Settings,
    strata: bool = True,
    intact: str = INTACT,
    same: str = "",
) -> RowNumbers:
    """Read everything that a record says of one condition.

    Args:
        ledger: Holds the condition, the ablations and the intact model.
        name: The condition.
        ablations: Conditions whose damage `recovered` is measured against.
        reference: The one of them that bars, nines and strata use.
        direct: For each kind of direct effect, the condition and the mean ablation in it.
        variance: The condition and the mean whose squared errors give the variance explained.
        settings: Level, resamples and seed.
        strata: Whether to go through the strata as well.
        intact: The condition of the model as it is.
        same: The condition that this one is by construction, if any: what is then exact is no finding,
            and has an interval without length.

    Raises:
        MeasurementError: The reference is not among the ablations, or a condition that is named
            was not measured, or not on the same tokens.
    """
    if reference not in ablations:
        found = "it is not among the ablations"
        raise MeasurementError(
            f"The reference ablation '{reference}'", found, near_matches(reference, ablations)
        )
    pairs = [*direct.values(), *([variance] if variance else [])]
    _check(ledger, [name, intact, *ablations, *(one for pair in pairs for one in pair)])
    alike = {name: same} if same else {}
    for condition, mean in pairs if same else ():
        alike[condition] = mean if same == reference else same
    shares = {
        ablation: recovered(ledger, name, ablation, intact=intact, settings=settings, alike=alike)
        for ablation in ablations
    }
    return RowNumbers(
        loss=loss(ledger, name, settings=settings),
        increase=increase(ledger, name, intact=intact, settings=settings, alike=alike),
        kl=kl(ledger, name, intact=intact, settings=settings, alike=alike),
        agreement=agreement(ledger, name, intact=intact, settings=settings, alike=alike),
        reliability=reliability(ledger, name, settings=settings),
        recovered=shares,
        direct={
            label: recovered(ledger, condition, mean, intact=intact, settings=settings, alike=alike)
            for label, (condition, mean) in direct.items()
        },
        variance=(
            variance_explained(ledger, *variance, settings=settings, alike=alike)
            if variance
            else None
        ),
        bars=distances(shares[reference]),
        nines=nines(shares[reference]),
        strata=_strata(ledger, name, reference, intact, settings, alike) if strata else (),
    )


def _check(ledger: Ledger, named: Sequence[str]) -> None:
    """Refuse a row whose conditions were not all measured."""
    known = ledger.conditions
    for one in named:
        if one not in known:
            found = f"it needs '{one}', which this ledger does not have"
            raise MeasurementError(f"The row of '{named[0]}'", found, near_matches(one, known))


def _strata(
    ledger: Ledger, name: str, reference: str, intact: str, settings: Settings, alike: SameAs
) -> tuple[Stratum, ...]:
    return tuple(
        Stratum(
            partition=stratum[0],
            label=stratum[1],
            tokens=int(ledger.sums(intact, stratum).tokens.sum()),
            loss=loss(ledger, name, stratum=stratum, settings=settings),
            damage=damage(ledger, reference, intact=intact, stratum=stratum, settings=settings),
            recovered=recovered(
                ledger,
                name,
                reference,
                intact=intact,
                stratum=stratum,
                settings=settings,
                alike=alike,
            ),
        )
        for stratum in ledger.strata
        if stratum != ALL
    )
