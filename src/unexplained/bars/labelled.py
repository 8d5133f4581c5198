"""What was measured of neurons under a label, before it is shown: names of conditions, and tokens with activations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from unexplained.bars import detection as d
from unexplained.bars.reading import Reading
from unexplained.bars.recovered import ROUNDING
from unexplained.record import Number
from unexplained.record.bars import KeptVariation
from unexplained.sites import Site
from unexplained.stats import Settings, fraction

YES, NO = ("label", "yes"), ("label", "no")
"""Strata."""
REFERENCE = "mean"
SCORES = (("auroc", "AUROC"), ("precision", "Precision"), ("recall", "Recall"))
KEPT: dict[KeptVariation, tuple[str, str]] = {
    "residual": ("only the rest", "What the label predicts is taken off, and the difference kept."),
    "yes": ("the rest within the label", "As predicted where the label says no, and as it is where it says yes."),
    "no": ("the rest outside the label", "As predicted where the label says yes, and as it is where it says no."),
}  # fmt: skip
BESIDE = {"label": "Of it the label's prediction", "residual": "Only the rest of their values",
          "yes": "With what varies within the label"}  # fmt: skip
"""What is said of shares beside an answer."""


@dataclass(frozen=True)
class Names:
    """What conditions are called."""

    claim: str
    """The label's prediction in the place of all neurons."""
    claims: Mapping[str, str]
    """The same of each alone."""
    alone: Mapping[str, str]
    """Each neuron ablated."""
    without: Mapping[str, str]
    """All but it, those of the model that tell the label too included."""
    everyone: str
    kept: Mapping[KeptVariation, str]
    says: Mapping[KeptVariation, str]

    @classmethod
    def of(cls, sites: Sequence[Site], units: Sequence[Site], claim: str) -> Names:
        """Their names, for neurons and all that are looked at."""
        single = {str(site): f"{claim} at {site}" for site in sites}
        return cls(
            claim=claim,
            claims=single if len(sites) > 1 else dict.fromkeys(single, claim),
            alone={str(site): f"{site} ablated" for site in units},
            without={str(site): f"all but {site} ablated" for site in units},
            everyone="all ablated",
            kept={key: name for key, (name, _) in KEPT.items()},
            says={key: says for key, (_, says) in KEPT.items()},
        )  # fmt: skip


@dataclass(frozen=True)
class TokensMeasured:
    """Every token of a text, and what was measured there."""

    name: str
    tokens: d.Labelled
    values: Mapping[str, NDArray[np.float64]]
    """Neuron → (token,) activation; documents' first tokens are left out."""
    domain: NDArray[np.str_]
    near: Mapping[str, NDArray[np.bool_]]
    """Another label → where it says yes."""
    read: Reading | None = None
    detectors: Mapping[str, d.Detector] = field(default_factory=dict)
    """Of a model with random weights, whose neurons are others."""

    def missed(self, near: str) -> NDArray[np.bool_]:
        """(token,) where another label says yes and this one no."""
        return np.asarray(self.near[near] & ~self.tokens.yes)

    def with_reading(self, read: Reading) -> TokensMeasured:
        """With what was measured."""
        return replace(self, read=read)

    def with_detectors(self, detectors: Mapping[str, d.Detector]) -> TokensMeasured:
        """With what was fitted to its own neurons."""
        return replace(self, detectors=detectors)

    @property
    def home(self) -> str:
        """The kind of document that the label is of: of several the one where it says yes most, to half of it or more."""
        kinds = list(dict.fromkeys(self.domain.tolist()))
        if len(kinds) < 2:
            return ""
        often = {kind: float(self.tokens.yes[self.domain == kind].mean()) for kind in kinds}
        first = max(kinds, key=lambda kind: often[kind])
        return first if often[first] >= 0.5 else ""

    @property
    def by_kind(self) -> d.Labelled:
        """Every token under its document's kind in the label's place: yes where that is `home`."""
        return d.Labelled(self.tokens.unit, self.domain == self.home, self.tokens.units)

    @property
    def measured(self) -> Reading:
        """What was measured there."""
        assert self.read is not None
        return self.read


def within_label(read: Reading, arm: str, stratum: tuple[str, str], against: str = "") -> Number:
    """What an arm costs on the tokens of a stratum, or recovers there; refused where there are none.

    Args:
        read: What was measured.
        arm: Of which arm.
        stratum: `YES` or `NO`.
        against: The ablation that it recovers the damage of; what it costs if none.
    """
    if stratum not in read.ledger.strata:
        which = "no token" if stratum == YES else "every token"
        return Number(value=None, refused=f"the label says yes to {which} here")
    return read.recovered(arm, against, stratum) if against else read.increase(arm, stratum)


def of_joint(read: Reading, names: Names, units: Sequence[str], settings: Settings) -> Number:
    """What ablating some alone costs, added up, as a share of ablating all together.

    Args:
        read: What was measured.
        names: What conditions are called.
        units: Which are ablated alone.
        settings: Level.
    """
    whole, intact = read.ledger.sums(names.everyone), read.ledger.sums("intact")
    alone = np.asarray(sum(read.ledger.sums(names.alone[u]).loss - intact.loss for u in units))
    return fraction(
        alone, whole.loss - intact.loss, intact.tokens, settings=settings, floor=ROUNDING,
        what="loss when all are ablated", if_negative="the model does better without them",
    )  # fmt: skip
