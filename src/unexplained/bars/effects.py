"""From the ledgers of a sweep to its effects: alone, together, told from zero, ranked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import false_discovery_control

from unexplained.bars.measures import Measure
from unexplained.bars.paired import Paired, paired
from unexplained.bars.recovered import INTACT
from unexplained.estimators import p_values
from unexplained.ledger import ALL, Ledger
from unexplained.record import Joint, Number
from unexplained.shares import within
from unexplained.sites import Site
from unexplained.stats import SHARE, Settings, difference_per_token, fraction, mean_per_token


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
    """Read the changes of some components, each ablated alone under its own name."""
    read = _read(ledger, measure, *map(str, sites))
    whole, *edited = read.columns
    return Changes(tuple(sites), np.stack(edited) - whole, read.tokens, measure)


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
            what=f"change of the {found.measure.name} by the whole corruption",
        )
        for row in found.sums
    ]  # fmt: skip


def joint(ledger: Ledger, group: Sequence[Site], measure: Measure, settings: Settings) -> Joint:
    """What some components do together, against the sum of what each does alone."""
    read = _read(ledger, measure, name_of(group), *map(str, group))
    intact, both, *singles = read.columns
    summed = np.sum([single - intact for single in singles], axis=0)
    unit = measure.unit

    def per_token(a: np.ndarray, b: np.ndarray) -> Number:
        return difference_per_token(a, b, read.tokens, settings=settings, unit=unit)

    return Joint(
        sites=tuple(map(str, group)),
        together=within(per_token(both, intact), *measure.changes),
        summed=per_token(summed, summed * 0),
        interaction=per_token(both - intact, summed),
    )


def name_of(group: Sequence[Site]) -> str:
    """The name of the condition in which some components are ablated together."""
    return " ".join(map(str, group))


def _read(ledger: Ledger, measure: Measure, *names: str) -> Paired:
    return paired(ledger, measure.column, (INTACT, *names), ALL)
