"""How far training runs that differ by their seed alone lie apart, in log losses."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from unexplained.bars.rungs import Seeds
from unexplained.estimators.seeds import Scatter, scatter_of
from unexplained.ladder.catalogue import catalogue
from unexplained.ladder.family import Family
from unexplained.ladder.law import Rung
from unexplained.ledger import Ledger
from unexplained.stats import Settings

STREAM = 17
"""Of random numbers: the draws of runs depend on no other draws."""


def scatter_among(
    rungs: Sequence[Rung], losses: Mapping[str, float], *, shipped: bool = True
) -> tuple[Scatter, str]:
    """Pool the scatter of log losses within rungs, and say what it is.

    Where no rung of the ladder has several seeds here, that of the losses on kept-back documents,
    which ship for every seed, is taken instead: it is of another text. Of other families nothing is
    borrowed.

    Args:
        rungs: The models that are there.
        losses: What they reached on this text, by name.
        shipped: Whether they are of the ladder.
    """
    known = catalogue().rungs() if shipped else ()
    kept = {one.name: one.held_out for one in known}
    for some, here in ((rungs, losses), (known, None)):
        by_rung: dict[int, list[float]] = {}
        for one in some:
            loss = (here or kept)[one.name]
            by_rung.setdefault(one.rung, []).append(math.log(loss))
        found = scatter_of([np.array(logs) for logs in by_rung.values()])
        if found.freedom:
            several = sum(len(logs) > 1 for logs in by_rung.values())
            where = "on this text" if here is not None else "on kept-back documents of training"
            return found, (
                f"runs of a rung scatter by {found.deviation or 0.0:.1%} of a loss {where} "
                f"({several} rungs of several seeds, {found.freedom} degrees of freedom), "
                "which is in the intervals"
            )
    return Scatter(0.0, 0), (
        "no two models of this family are runs of one rung, so how far runs scatter is not known "
        "and not in the intervals"
    )


def seeds_of(ledger: Ledger, family: Family) -> Seeds | None:
    """What bars need to count training runs as a source of variation; None where nothing is known."""
    rungs = [one for one in family.runs if one.name in ledger.conditions]
    if not rungs:
        return None
    losses = {one.name: ledger.sums(one.name).per_token() for one in rungs}
    scatter, said = scatter_among(rungs, losses, shipped=family.shipped)
    if not scatter.freedom:
        return None
    by_rung: dict[int, list[str]] = {}
    for one in rungs:
        by_rung.setdefault(one.rung, []).append(one.name)
    return Seeds({names[0]: tuple(names) for names in by_rung.values()}, scatter, said)


def moved_runs(scatter: Scatter, runs: Sequence[int], settings: Settings) -> np.ndarray:
    """By what other runs would have moved log losses: a σ for every draw, then normal.

    σ² = (sum of squares) / χ², the t correction of `curves.fit_curve`.

    Args:
        scatter: Of one run's log loss.
        runs: How many runs each entry is the mean of.
        settings: Resamples and seed.

    Returns:
        (entry, resample); zeros where nothing is known of the scatter.
    """
    shape = (len(runs), settings.resamples)
    if not scatter.freedom:
        return np.zeros(shape)
    rng = np.random.default_rng([settings.seed, STREAM])
    spread = np.sqrt(scatter.squares / rng.chisquare(scatter.freedom, settings.resamples))
    moved: np.ndarray = spread * rng.standard_normal(shape) / np.sqrt(np.array(runs))[:, None]
    return moved
