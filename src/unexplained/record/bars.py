"""Bars for one condition, its place among weaker models, and where a gap between two models lives.

No field says "pass": a bar has a distance, and people differ on which bar counts.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from unexplained.record.base import Frozen, Number

KeptVariation = Literal["residual", "yes", "no"]
"""What is kept of a neuron: the difference from what the label predicts, put on the mean; or its
variation where the label says yes, or where it says no, the rest being as predicted."""

Standing = Literal["beats", "ties", "loses", "unknown"]


class BaselineBar(Frozen):
    """A condition held against one baseline: uniform, an n-gram table or an ablation."""

    baseline: str
    damage: Number
    """L_base − L_full (nats per token): the denominator of `recovered` and of every rung's share."""
    recovered: Number
    """f = (L_base − L_sub)/(L_base − L_full)."""
    distances: dict[str, Number] = Field(default_factory=dict)
    """`recovered` minus each bar that was named in the debate (0.5, 0.8, …)."""
    nines: Number
    """−log10(1 − recovered)."""


class RungBar(Frozen):
    """A condition held against one weaker model."""

    rung: str
    loss: Number
    """L_weak (nats per token)."""
    gap: Number
    """L_weak − L_full (nats per token): the denominator of `score`."""
    score: Number
    """(L_weak − L_sub)/(L_weak − L_full): share of the gap that the explained model keeps. 0 does as
    well as the weaker model, below 0 worse."""
    share: dict[str, Number] = Field(default_factory=dict)
    """r = (L_base − L_weak)/(L_base − L_full) by baseline: the f that the weaker model itself has,
    so the f below which the explained model is worse than it."""


class Comparison(Frozen):
    """A condition and one weaker model on the same tokens."""

    rung: str
    difference: Number
    """L_sub − L_weak (nats per token), paired by document, at the level of each comparison."""
    standing: Standing
    """Of the condition: `beats` where its loss is lower for certain, `loses` where it is higher,
    `ties` where the two cannot be told apart, `unknown` where there is no interval."""
    runs: int = 1
    """Of the weaker model: its loss is their mean. More than one only where its seeds were measured."""


class Ties(Frozen):
    """Which weaker models a condition cannot be told from."""

    condition: str
    comparisons: tuple[Comparison, ...]
    """Weakest model first."""
    place: str
    """`between rung 2 and rung 3`, `ties with rung 3`, `below all`, …"""
    level: float
    """Chance, at least, that all intervals hold the truth at once."""
    each: float
    """Level of each interval: 1 − (1 − level) / number of comparisons (Bonferroni)."""
    scatter: str = ""
    """What of the scatter of training runs is in the intervals; empty where it is not known."""

    def rungs(self, standing: Standing) -> tuple[str, ...]:
        """The weaker models towards which the condition stands so, weakest first."""
        return tuple(one.rung for one in self.comparisons if one.standing == standing)


class Bars(Frozen):
    """All bars for one condition. No single one is a pass mark, and this type names none."""

    condition: str
    partition: str
    label: str
    tokens: int
    loss: Number
    baselines: tuple[BaselineBar, ...]
    rungs: tuple[RungBar, ...] = ()
    """Weakest model first."""
    place: Ties | None = None
    """Null where no weaker models were given."""


class GapPoint(Frozen):
    """A point of a concentration curve."""

    tokens: float
    """Share of all tokens, those chosen first first."""
    carries: Number
    """Their share of the net gap; above 1 where the others give some of it back."""


class NearZero(Frozen):
    """Tokens that are all but certain, in the weaker and in the strong model."""

    below: float
    """Loss in nats that counts as near zero: 0.1 is a probability of 90%."""
    weak: Number
    strong: Number
    more: Number
    """Share in the strong model minus share in the weaker one, paired by document."""


class Concentration(Frozen):
    """How a gap per token, d = l_weak − l_strong, is spread over the tokens."""

    strong: str
    weak: str
    chosen_by: tuple[str, str]
    """The strong and the weaker model whose gap puts the tokens in order."""
    own: bool
    """Whether those are the scored models themselves: then everything from `curve` on is flattered
    by noise."""
    caution: str
    documents: int
    tokens: int
    gap: Number
    """Mean of d (nats per token)."""
    gained: Number
    """Mean over all tokens of d where it is positive, else 0 (nats per token)."""
    given_back: Number
    """Mean over all tokens of −d where d is negative, else 0 (nats per token)."""
    worse: Number
    """Share of tokens where the strong model has the higher loss, by more than rounding."""
    near_zero: tuple[NearZero, ...]
    curve: tuple[GapPoint, ...]
    carrying: dict[str, Number]
    """Smallest share of tokens that carries 0.5, 0.8 and 1 of the net gap."""
    index: Number
    """Twice the area between curve and diagonal: 0 where the order says nothing of the gap, near 1
    where few tokens carry it; above 1 is possible where the others give some back."""
    bounded: Number
    """The same area relative to Σ|d| instead of Σd: between −1 and 1 whatever the signs."""
    factor: Number
    """mean(d·d′) / (mean d · mean d′), d′ the gap by which tokens were chosen: 1 for an even gap,
    1/p where a share p of the tokens carries it evenly. Noise that the two do not share drops out."""
    effective: Number
    """1 / factor: the share of tokens that the gap is as concentrated as being carried by."""


class OverRuns(Frozen):
    """A gap over several pairs of runs; intervals are for other documents and other runs."""

    pairs: tuple[tuple[str, str], ...]
    """A strong and a weaker model each, of the same two sizes, with other seeds."""
    gap: Number
    """Mean over pairs (nats per token)."""
    worse: Number
    """Share of tokens where the strong model has the higher loss, mean over pairs."""
    factor: Number
    """As in `Concentration`, over all two pairs."""
    effective: Number
    """1 / factor."""


class CrucialPart(Frozen):
    """A condition on some of the tokens."""

    tokens: int
    share: float
    """Of all tokens."""
    damage: Number
    """L_abl − L_full on these tokens (nats per token)."""
    carries: Number
    """Their share of the damage on all tokens."""
    recovered: Number
    gap: Number | None = None
    """L_weak − L_full on these tokens; null where no weaker model was given."""
    score: Number | None = None
    """(L_weak − L_sub)/(L_weak − L_full) on these tokens."""


class OnCrucial(Frozen):
    """A condition on crucial tokens and on the rest."""

    condition: str
    ablation: str
    weak: str | None = None
    says: str
    """How the crucial tokens were chosen."""
    chosen_by: tuple[str, ...]
    """Conditions whose losses chose them; none of them is scored here."""
    crucial: CrucialPart
    rest: CrucialPart


class KeptAt(Frozen):
    """Circuits of one size."""

    edges: int
    share: float
    """Of all edges."""
    logit_difference: Number
    """Logit difference under the circuit (logits per pair)."""
    kept: Number
    """(m(circuit) − m(corrupted)) / (m(clean) − m(corrupted)): 1 is the whole behaviour. Neither 0
    nor 1 is a limit."""


class KeptCurve(Frozen):
    """What the first so many edges of one order of all keep."""

    edges: int
    """In all."""
    points: tuple[KeptAt, ...]
    area: float | None
    """∫ kept over the share of edges (MIB's CPR, `bars.areas`): above 1 some circuits overshoot. Null
    where a size of MIB's was not measured."""
    distance: float | None
    """∫ |1 − kept| (MIB's CMD): 0 is a circuit that keeps everything at every size."""
    knee: int | None
    """Edges of the smallest measured circuit that keeps enough with its whole interval, as does every
    larger one; null: none short of the whole model."""
    knee_by_value: int | None
    """The same by the values alone."""


class Stratum(Frozen):
    """An explanation's row on one part of the tokens."""

    partition: str
    """Which way of cutting the text: `recurrence`, `position`, `domain`, …"""
    label: str
    tokens: int
    loss: Number
    damage: Number
    """Loss of the reference ablation minus loss of the intact model: the denominator."""
    recovered: Number


class Factor(Frozen):
    """Where against how much: the 2 x 2 of the rule's and the model's own placement and amount."""

    where: Literal["rule", "own"]
    amount: Literal["all", "own"]
    row: str
    recovered: Number


class ContextGain(Frozen):
    """How much lower the loss is where there is more earlier text to use (nats per token)."""

    partition: str
    early: str
    """Label of the tokens with little context."""
    late: str
    gain: dict[str, Number]
    """Loss at `early` minus loss at `late`, by row; the intact model first."""
    lost: dict[str, Number]
    """The intact model's gain minus the row's."""
