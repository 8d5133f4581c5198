"""From the ledgers of a sweep to what every component does: told from zero, ranked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import false_discovery_control

from unexplained.bars.joints import Together
from unexplained.bars.measures import Measure
from unexplained.bars.paired import Paired, paired
from unexplained.bars.recovered import INTACT, kl
from unexplained.estimators import Estimate, p_values, rank_intervals, with_control
from unexplained.ledger import ALL, Ledger
from unexplained.record import Number
from unexplained.shares import within
from unexplained.sites import Site
from unexplained.stats import SHARE, Settings, fraction, mean_per_token

RATE = 0.05
"""False discovery rate at which a component is told from zero."""


@dataclass(frozen=True)
class Effect:
    """What becomes of the measure when one component is ablated or patched."""

    site: str
    change: Number
    """The measure minus the intact model's, paired by document."""
    kl: Number | None = None
    """KL divergence from the intact model; None where whole rows of logits were not computed."""
    share: Number | None = None
    """Of pairs that are patched: the change as a share of what the whole corruption changes."""
    p: float | None = None
    """Two-sided, of no change, before correction; None where the race was lost early."""
    q: float | None = None
    """The same after correction for the number of components (Benjamini and Hochberg 1995)."""
    ranks: tuple[int, int] | None = None
    """Which ranks by size, 1 the greatest, are not ruled out for it, all ranks held at once."""
    measured: Literal["all documents", "control variate", "chosen on", "fresh documents"] = (
        "all documents"
    )
    """On what: all documents; some, and the rest by attribution; only those that a race chose on,
    which flatter or slight it; only those that did not choose it."""
    gain: float | None = None
    """Of a control variate: variance without the attribution over variance with it."""

    @property
    def told(self) -> bool:
        """Whether it is told from zero at `RATE`."""
        return self.q is not None and self.q < RATE


@dataclass(frozen=True)
class Estimation:
    """How effects that were not all measured exactly were come by."""

    method: Literal["control variates", "race"]
    says: str
    exact: int
    """Conditions times documents that were run exactly."""
    whole: int
    """How many an exact sweep would have run."""
    missed: Number | None = None
    """Of a race: share of the rejected that may be above the threshold, from a sample of them."""


@dataclass(frozen=True)
class Swept:
    """What every component of a set does to a measure, and how the strongest interact."""

    measure: Measure
    effects: tuple[Effect, ...]
    """In the order of the model."""
    intact: Number
    """The measure of the intact model."""
    corrupted: Number | None = None
    """Of pairs: the measure on the corrupted prompts, with the same answers."""
    accuracy: Number | None = None
    """Of pairs: how often the intact model prefers the answer. The gate."""
    together: Together | None = None
    """How the strongest interact."""
    estimation: Estimation | None = None
    """None where every effect was measured exactly on all documents."""

    @property
    def strongest(self) -> tuple[Effect, ...]:
        """Effects by size, either way, greatest first."""
        return tuple(sorted(self.effects, key=lambda e: -abs(e.change.value or 0.0)))

    @property
    def tested(self) -> tuple[Effect, ...]:
        """What the correction is over: in a race, those that fresh documents measured."""
        return tuple(effect for effect in self.effects if effect.q is not None)


@dataclass(frozen=True)
class Changes:
    """A measure's change from the intact model, by component and document."""

    sites: tuple[Site, ...]
    sums: np.ndarray
    """(component, document)."""
    tokens: np.ndarray
    """(document,) predictions that are scored."""
    measure: Measure

    def per_token(self, settings: Settings) -> list[Number]:
        """The mean change of every component, with its interval."""
        unit = self.measure.unit
        found = (mean_per_token(r, self.tokens, settings=settings, unit=unit) for r in self.sums)
        return [within(change, *self.measure.changes) for change in found]

    def p_values(self) -> np.ndarray:
        """Two-sided, of no change; 1 where the change is below the measure's floor."""
        small = np.abs(self.sums.sum(1)) < self.measure.floor * self.tokens.sum()
        found = p_values(self.sums, self.tokens, share=self.measure.unit == SHARE)
        return np.where(small, 1.0, found)

    def strongest(self) -> list[Site]:
        """The components by the size of their change, either way, greatest first."""
        size = dict(zip(self.sites, np.abs(self.sums.sum(1)), strict=True))
        return sorted(self.sites, key=lambda site: (-size[site], site))


def changes(ledger: Ledger, sites: Sequence[Site], measure: Measure) -> Changes:
    """Read the changes of some components, each ablated alone under its own name.

    Args:
        ledger: The losses, by condition, document and stratum, as `evaluate` gives them.
        sites: Components that were each ablated alone.
        measure: What changed: as `measure_of` gives it.
    """
    read = _read(ledger, measure, *map(str, sites))
    whole, *edited = read.columns
    return Changes(tuple(sites), np.stack(edited) - whole, read.tokens, measure)


def exact(
    ledger: Ledger,
    sites: Sequence[Site],
    measure: Measure,
    settings: Settings,
    corrupted: Ledger | None = None,
) -> tuple[Effect, ...]:
    """Every component's effect on all documents of a ledger.

    Args:
        ledger: Each component alone, under its own name.
        sites: The components.
        measure: What is measured.
        settings: Level, resamples and seed.
        corrupted: The intact model on the corrupted prompts, where those are what is patched in.
    """
    found = changes(ledger, sites, measure)
    p = found.p_values()
    q = corrected(p)
    ranks = rank_intervals(found.sums, found.tokens, level=settings.level, floor=measure.floor)
    share: Sequence[Number | None] = [None] * len(sites)
    if corrupted is not None:
        before, after = (_read(one, measure).columns[0] for one in (ledger, corrupted))
        share = shares(found, after - before, settings)
    return tuple(
        Effect(
            site=str(site),
            change=change,
            kl=kl(ledger, str(site), settings=settings) if measure.needs == "all" else None,
            share=share[i],
            p=float(p[i]),
            q=float(q[i]),
            ranks=(int(ranks.low[i]), int(ranks.high[i])),
        )
        for i, (site, change) in enumerate(zip(sites, found.per_token(settings), strict=True))
    )


def controlled(
    found: Changes, approx: np.ndarray, tokens: np.ndarray, chosen: np.ndarray, settings: Settings
) -> tuple[Effect, ...]:
    """Effects on all documents, of which some were measured and the rest are known approximately.

    Args:
        found: The changes on the documents that were measured.
        approx: The approximation on all, (component, document).
        tokens: Of all, (document,).
        chosen: Places among all of those that were measured.
        settings: Level, resamples and seed.
    """
    measure = found.measure
    estimates = [
        with_control(row, near, tokens, chosen, settings=settings, unit=measure.unit)
        for row, near in zip(found.sums, approx, strict=True)
    ]
    p = np.array([p_of(one, measure.floor) for one in estimates])
    q = corrected(p)
    return tuple(
        Effect(
            site=str(site), change=one.number, p=float(p[i]), q=float(q[i]),
            measured="control variate", gain=one.gain,
        )
        for i, (site, one) in enumerate(zip(found.sites, estimates, strict=True))
    )  # fmt: skip


def p_of(found: Estimate, floor: float) -> float:
    """Two-sided, of no effect; 1 where it is below the floor or nothing is known of its error."""
    value = found.number.value
    if value is None or found.p is None or abs(value) < floor:
        return 1.0
    return found.p


def raced(seen: Changes, fresh: Changes, settings: Settings) -> tuple[Effect, ...]:
    """Fresh numbers where there are any; the others stay what the race saw, and say so.

    Args:
        seen: All components on the documents that the race chose on.
        fresh: Some of them on documents that did not choose.
        settings: Level, resamples and seed.
    """
    p = fresh.p_values()
    q = corrected(p)
    numbers = fresh.per_token(settings)
    place = {site: i for i, site in enumerate(fresh.sites)}

    def effect(site: Site, change: Number) -> Effect:
        if site not in place:
            return Effect(site=str(site), change=change, measured="chosen on")
        i = place[site]
        return Effect(
            site=str(site), change=numbers[i], p=float(p[i]), q=float(q[i]),
            measured="fresh documents",
        )  # fmt: skip

    return tuple(map(effect, seen.sites, seen.per_token(settings)))


def corrected(p: np.ndarray) -> np.ndarray:
    """p-values corrected for their number (Benjamini and Hochberg 1995)."""
    return np.asarray(false_discovery_control(p))


def holm(p: Sequence[float]) -> list[float]:
    """p-values corrected so that one false finding among all is as rare as a p says (Holm 1979).

    >>> [round(q, 3) for q in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p, kind="stable")
    ranked = np.asarray(p, dtype=float)[order] * np.arange(len(p), 0, -1)
    found = np.empty(len(p))
    found[order] = np.minimum(np.maximum.accumulate(ranked), 1.0)
    return [float(one) for one in found]


def shares(found: Changes, whole: np.ndarray, settings: Settings) -> list[Number]:
    """Every change as a share of what the whole corruption changes, refused within its noise."""
    sign = np.sign(whole.sum()) or 1.0
    return [
        fraction(
            row * sign, whole * sign, found.tokens, settings=settings, unit=found.measure.unit,
            what=f"change of the {found.measure.name} by the whole corruption", floor=found.measure.floor,
        )
        for row in found.sums
    ]  # fmt: skip


def level(ledger: Ledger, measure: Measure, settings: Settings) -> Number:
    """The measure of the intact model.

    Args:
        ledger: The losses, by condition, document and stratum, as `evaluate` gives them.
        measure: As `measure_of` gives it.
        settings: Level and seed of intervals.
    """
    read = _read(ledger, measure)
    found = mean_per_token(read.columns[0], read.tokens, settings=settings, unit=measure.unit)
    return within(found, *measure.values)


def _read(ledger: Ledger, measure: Measure, *names: str) -> Paired:
    return paired(ledger, measure.column, (INTACT, *names), ALL)
