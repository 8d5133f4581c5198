"""The record of a sweep: what every component of a set does alone, and the strongest together."""

from __future__ import annotations

from typing import Literal

from unexplained.record.base import Frozen, KindRecord, Number
from unexplained.record.description import Method


class Effect(Frozen):
    """What becomes of the measure when one component is ablated or patched."""

    site: str
    change: Number
    """The measure minus the intact model's, paired by document."""
    kl: Number | None = None
    """KL divergence from the intact model; null where whole rows of logits were not computed."""
    share: Number | None = None
    """Of pairs that are patched: the change as a share of what the whole corruption changes."""
    p: float | None
    """Two-sided p-value of no change, before correction; null where the race was lost early."""
    q: float | None
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


class Joint(Frozen):
    """Several components ablated together, against the sum of each alone."""

    sites: tuple[str, ...]
    together: Number
    """Change of the measure with all of them ablated."""
    summed: Number
    """Sum of their single changes on the same documents."""
    interaction: Number
    """`together` minus `summed`. For a loss: above 0 they stand in for each other; below 0 they
    cancel, or one works through the other."""


class Estimation(Frozen):
    """How effects that were not all measured exactly were come by."""

    method: Literal["control variates", "race"]
    says: str
    exact: int
    """Conditions times documents that were run exactly."""
    whole: int
    """How many an exact sweep would have run."""
    missed: Number | None = None
    """Of a race: share of the rejected that may be above the threshold, from a sample of them."""


class SweepRecord(KindRecord):
    """What every component of a set does to a measure, and how the strongest interact."""

    kind: Literal["sweep"] = "sweep"
    tag: Method = "internals"
    """Item 107's tag, of every effect: components inside are ablated, and nothing is said of them."""
    ablation: str
    measure: str = "loss"
    """`loss`, `KL`, `logit difference`, `accuracy`."""
    text: str
    text_fingerprint: str
    text_notes: tuple[str, ...] = ()
    pairs_of_prompts: bool = False
    documents: int
    """Documents, or orbits of pairs: what intervals are over."""
    tokens: int
    """Predictions that are scored in the eval part."""
    fit_documents: int
    intact: Number
    """The measure of the intact model."""
    corrupted: Number | None = None
    """Of pairs: the measure on the corrupted prompts, with the same answers."""
    accuracy: Number | None = None
    """Of pairs: how often the intact model prefers the answer. The gate."""
    effects: tuple[Effect, ...]
    """In the order of the model."""
    floor: float = 0.0
    """Changes below this are rounding and count as none."""
    rate: float
    """False discovery rate: the expected share of components without effect among those that are
    told from zero."""
    estimation: Estimation | None = None
    """Null where every effect was measured exactly on all documents."""
    chosen_on: int
    """Documents that chose the strongest components."""
    reported_on: int
    """Other documents, on which those are measured together."""
    joints: tuple[Joint, ...] = ()
    """The strongest 2, 3, 5, … together."""
    pairs: tuple[Joint, ...] = ()
    """The strongest, two at a time."""

    twin: SweepRecord | None = None
    """The same components of a model with random weights, each alone, on few documents; its
    `seconds` are its own. Null where it was left out, and in records that did not have it."""

    @property
    def strongest(self) -> tuple[Effect, ...]:
        """Effects by size, either way, greatest first."""
        return tuple(sorted(self.effects, key=lambda e: -abs(e.change.value or 0.0)))

    @property
    def tested(self) -> int:
        """How many components the correction is over: in a race, those that fresh documents measured."""
        return sum(effect.q is not None for effect in self.effects)

    def on_twin(self, site: str) -> Number | None:
        """What the same component does in the random-weight twin."""
        effects = () if self.twin is None else self.twin.effects
        return next((effect.change for effect in effects if effect.site == site), None)

    def told(self, effect: Effect) -> bool:
        """Whether a component is told from zero at the record's rate."""
        return effect.q is not None and effect.q < self.rate
