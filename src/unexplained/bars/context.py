"""Gain in context: how much lower the loss is where there is more earlier text to use.

After the in-context learning score of Olsson et al. (2022), which is the loss at token 500 minus
the loss at token 50 with its sign turned, so that more is better. Here the two places are strata,
so that the gain is over many tokens and has an interval.
"""

from __future__ import annotations

from collections.abc import Sequence

from unexplained.bars.paired import paired
from unexplained.bars.recovered import INTACT
from unexplained.ledger import Ledger, StratumKey
from unexplained.record import ContextGain
from unexplained.stats import Settings, difference_of_means

COPIES = (("copy", "first copy"), ("copy", "second copy"))
EARLY = ("position", "16-63")
"""The first 16 positions are left out: their loss falls for reasons that are no use of context."""


def places(ledger: Ledger) -> tuple[StratumKey, StratumKey] | None:
    """The early and the late stratum of a text; None where its blocks are too short for two.

    In repeated text the first and the second copy, elsewhere positions 16-63 and the last bucket
    of positions.
    """
    if all(place in ledger.strata for place in COPIES):
        return COPIES
    starts = {
        int(label.split("-")[0]): (partition, label)
        for partition, label in ledger.strata
        if partition == "position" and "-" in label
    }
    late = starts[max(starts)] if starts else EARLY
    return (EARLY, late) if EARLY in ledger.strata and late != EARLY else None


def context_gain(
    ledger: Ledger, conditions: Sequence[str], *, intact: str = INTACT, settings: Settings
) -> ContextGain | None:
    """The gain in context of the intact model and of some conditions, and what each loses of it.

    A difference of two means over the same documents, paired. It misleads where the
    two places differ in more than context (late tokens of a document may be easier by themselves):
    what a condition loses of the gain is free of that, because the tokens are the same.

    Args:
        ledger: Holds the conditions and the intact model.
        conditions: Which conditions.
        intact: The condition of the model as it is.
        settings: Level, resamples and seed.

    Returns:
        None where the text has no two places to compare.

    Raises:
        MeasurementError: A condition was not measured.
    """
    found = places(ledger)
    if found is None:
        return None
    before, after = found
    names = (intact, *(name for name in conditions if name != intact))
    early = paired(ledger, "loss", names, before)
    late = paired(ledger, "loss", names, after)
    whole_early, whole_late = early.columns[0], late.columns[0]
    return ContextGain(
        partition=before[0],
        early=before[1],
        late=after[1],
        gain={
            name: difference_of_means(
                (early.columns[i], early.tokens), (late.columns[i], late.tokens), settings=settings
            )
            for i, name in enumerate(names)
        },
        lost={
            name: difference_of_means(
                (whole_early - early.columns[i], early.tokens),
                (whole_late - late.columns[i], late.tokens),
                settings=settings,
            )
            for i, name in enumerate(names)
            if name != intact
        },
    )
