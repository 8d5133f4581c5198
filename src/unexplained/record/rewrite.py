"""The record of a rewriting: more and more of a model's components replaced by explanations."""

from __future__ import annotations

from typing import Literal

from unexplained.record.assay import Description
from unexplained.record.bars import Bars, Ties
from unexplained.record.base import Frozen, KindRecord, Number
from unexplained.record.compute import Scale
from unexplained.record.tables import Counted


class Choice(Frozen):
    """The explanation that was chosen for a component, on the fit part."""

    site: str
    explanation: str
    increase: float
    """Loss on the fit part with it alone in place, minus the intact model's (nats per token)."""
    mean: float
    """The same of mean ablation: what the best explanation was up against."""


class Step(Frozen):
    """So many components replaced."""

    draw: int
    """Which random order."""
    count: int
    explained: Number
    """Loss with the explanations in place (nats per token)."""
    ablated: Number
    """Loss with the same components mean-ablated."""
    recovered: Number
    """(L_abl − L_sub)/(L_abl − L_full) for these components."""
    place: Ties | None = None
    """Where the explained model stands among weaker models."""


class BreakEven(Frozen):
    """How many components can be replaced before the model is no better than a weaker one."""

    rung: str
    loss: Number
    """The weaker model's own (nats per token)."""
    counts: tuple[int, ...]
    """For every order, the greatest number of replaced components at which the explained model
    still is not worse for certain."""
    certain: tuple[int, ...]
    """The same where it is better for certain."""


class ProgramRow(Frozen):
    """A written program in the place of the whole model."""

    name: str
    says: str
    description: Description
    bars: Bars
    shuffled: Bars
    """The same program reading another document, out of order."""
    fit_tokens: int | None = None
    """On how many tokens of the fit part it was calibrated; null where it was not, and in records from
    before they said so."""


class RewriteRecord(KindRecord):
    """More and more of a model replaced by explanations, beside weaker models and tables."""

    kind: Literal["rewrite"] = "rewrite"
    text: str
    text_fingerprint: str
    text_notes: tuple[str, ...] = ()
    documents: int
    tokens: int
    components: int
    """How many there are in all."""
    intact: Number
    tables: dict[str, Number]
    """Losses of the uniform, unigram, bigram and trigram tables (nats per token)."""
    counted: tuple[Counted, ...] = ()
    """What the tables were counted on; none in records from before they said so."""
    rungs: dict[str, Number]
    """Losses of weaker models, the weakest first."""
    choices: tuple[Choice, ...]
    bits: int
    """Description length of everything that was put in place."""
    steps: tuple[Step, ...]
    break_even: tuple[BreakEven, ...]
    programs: tuple[ProgramRow, ...] = ()
    scale: Scale | None = None
    """The whole model explained, the tables and the programs on the scale of training compute."""
    itself: dict[str, str]
    """Where each weaker model stands when it is offered as the explanation: it ties with itself."""
