"""The record of an assay: stated explanations in the place of components."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from unexplained.record.bars import Bars, ContextGain, Factor, Stratum
from unexplained.record.base import Frozen, KindRecord, Number
from unexplained.record.blocks import Check, Example
from unexplained.record.compute import Scale
from unexplained.record.description import Description, Method
from unexplained.record.heads import HeadScore
from unexplained.record.tables import Counted

Kind = Literal["intact", "ablation", "explanation", "fitted", "baseline", "control", "twin"]


class Row(Frozen):
    """One condition of the assay: an explanation, an ablation, a baseline or a control."""

    name: str
    kind: Kind
    says: str
    """The claim in one English sentence (an explanation's docstring)."""
    method: Method
    """Item 107's tag: mechanistic, high-level, other internals, black-box."""
    reads: tuple[str, ...] = ()
    """What it was given: `tokens`, or the model's own values; the latter make it weaker."""
    leaves: tuple[str, ...] = ()
    """What it leaves to the model: for a pattern, the model's own values and output matrix."""
    loss: Number
    increase: Number
    """Loss minus the intact model's, paired by document."""
    kl: Number
    agreement: Number
    """Share of tokens whose top-1 prediction is the intact model's: faithfulness to the model, as
    `recovered` and `kl` are. It says nothing of how often either is right."""
    reliability: Number | None = None
    """Share of tokens whose top-1 prediction is the text's: how often the explained model is right,
    whatever the model would have said. Null in records that did not measure it."""
    recovered: dict[str, Number] = Field(default_factory=dict)
    """Fraction of the ablation's damage recovered, for every ablation: (L_abl − L_sub)/(L_abl − L_full)."""
    damage: dict[str, Number] = Field(default_factory=dict)
    """Its own denominators, where they are not the text's: a twin, or one head of several alone."""
    direct: dict[str, Number] = Field(default_factory=dict)
    """The same for the direct effect alone: `norm free` and `norm frozen`, against the mean ablation."""
    variance: Number | None = None
    """Share of the variance of the heads' outputs explained, on the intact run."""
    bars: dict[str, Number] = Field(default_factory=dict)
    """Recovered minus each bar (0.5, 0.8, …). No bar is a pass mark."""
    nines: Number | None = None
    """−log10(1 − recovered): 2 means 99%."""
    description: Description | None = None
    documents: int | None = None
    """On how many of the text's first documents it was measured, where that is not all of them; null
    also in records from before they said so."""
    strata: tuple[Stratum, ...] = ()


class TextResult(Frozen):
    """The assay on one text."""

    name: str
    documents: int
    tokens: int
    """Predicted tokens in the eval part."""
    block: int
    """Greatest number of tokens in a block."""
    fit_documents: int
    fit_tokens: int
    fingerprint: str
    composition: dict[str, int]
    """Eval documents per domain."""
    notes: tuple[str, ...] = ()
    damage: dict[str, Number] = Field(default_factory=dict)
    """What each ablation costs (nats per token): the denominators."""
    reliability: Number | None = None
    """How often the intact model is right (`Row.reliability`): what explanations are held to."""
    rows: tuple[Row, ...]
    tables: tuple[Counted, ...] = ()
    """The n-gram tables among the rows; none in records from before they said so."""
    factors: tuple[Factor, ...] = ()
    context: ContextGain | None = None
    bars: tuple[Bars, ...] = ()
    """Explanations and baselines held against every baseline and every weaker model."""
    scale: Scale | None = None
    """The same on the scale of training compute; null where no ladder has the model's tokenizer."""
    singles: tuple[Row, ...] = ()
    """Each head alone, where that was asked for."""
    examples: tuple[Example, ...] = ()
    twin_seconds: float | None = None
    """What the random-weight twin took, within the record's seconds; null where it was left out."""

    def row(self, name: str) -> Row:
        """The row with that name.

        Raises:
            KeyError: There is none.
        """
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(name)


class Crux(Frozen):
    """Which statement of the founding dialogue a number bears on."""

    speaker: str
    statement: str
    bearing: str


class AssayRecord(KindRecord):
    """Everything that an assay found."""

    kind: Literal["assay"] = "assay"
    sites: tuple[str, ...]
    reference: str
    """The ablation that strata, bars and nines are measured against."""
    heads: tuple[HeadScore, ...] = ()
    texts: tuple[TextResult, ...]
    checks: tuple[Check, ...]
    cruxes: tuple[Crux, ...] = ()
