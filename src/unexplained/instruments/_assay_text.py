"""What an assay found on one text, as blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from unexplained.bars.scales import NO_LADDER, compute
from unexplained.bars.standing import standing
from unexplained.instruments import _assay_rows as assay_rows
from unexplained.instruments import _assay_strata as assay_strata
from unexplained.instruments._assay_rows import REFERENCE, ArmRow
from unexplained.record import Counted, Number, Scale
from unexplained.record import blocks as b
from unexplained.record import format as fmt
from unexplained.record.bars import Bars, ContextGain, Factor
from unexplained.record.tables import counted

if TYPE_CHECKING:
    from unexplained.text import Text

FEW = 8
"""Rows up to which the gain in context is shown unasked."""
WHERE = {"rule": "as the rule says", "own": "as the model does"}
AMOUNT = {"all": "everything, as the rule says", "own": "as much as the model does"}


@dataclass(frozen=True)
class OnText:
    """All that was read of one text."""

    name: str
    primary: str
    """The claim that is shown in detail."""
    size: b.Table
    """How much was predicted, of what, and what stands beside the explanations."""
    damage: Mapping[str, Number]
    """What each ablation costs (nats per token): the denominators."""
    rows: tuple[ArmRow, ...]
    bars: tuple[Bars, ...]
    """Everything held against every baseline and every weaker model."""
    documents: int = 0
    notes: tuple[str, ...] = ()
    tables: tuple[Counted, ...] = ()
    factors: tuple[Factor, ...] = ()
    nested: Mapping[str, tuple[str, Number]] = field(default_factory=dict)
    """What contains another once it is fitted, with that, and what it recovers more."""
    scale: Scale | None = None
    """The same on the scale of training compute; None where no ladder has the model's tokenizer."""
    context: ContextGain | None = None
    singles: tuple[ArmRow, ...] = ()
    """Each component alone, where that was asked for."""
    examples: tuple[b.Example, ...] = ()
    attention: b.Attention | None = None
    """Of the first head and of the claim."""
    checks: tuple[b.Check, ...] = ()

    def row(self) -> ArmRow:
        """The row of the claim that is shown in detail."""
        return next(row for row in self.rows if row.name == self.primary)

    def blocks(self) -> Iterator[b.Block]:
        """What is shown of it."""
        yield self.size
        yield from (b.Prose(words=note, manner="aside") for note in self.notes)
        yield _costs(self.damage)
        yield assay_rows.section(self.rows, self.primary)
        if self.factors:
            yield _factors(self.factors)
        if self.nested:
            yield _nested(self.nested)
        if self.scale:
            yield compute(self.scale, {row.name: row.card.role for row in self.rows})
        else:
            yield b.Prose(words=NO_LADDER, manner="aside")
        yield standing(self.bars)
        if any(row.numbers.strata for row in self.rows):
            yield assay_strata.section(self.rows)
        if self.context:
            yield _context(self.context)
        if self.singles:
            yield assay_rows.singles(self.singles)
        if self.attention:
            yield self.attention
        if self.examples:
            title = "Where the explanation is furthest off"
            caption = "Documents of the eval part."
            yield b.Tokens(key="tokens", title=title, caption=caption, examples=self.examples)


def size_of(text: Text, fitted: int, right: Number, tables: Sequence[Counted]) -> b.Table:
    """How much was predicted, of what, and what stands beside the explanations.

    Args:
        text: What was measured on.
        fitted: Tokens of its fit part that were read.
        right: How often the intact model is right.
        tables: N-gram tables.
    """
    domains = ", ".join(f"{name} {fmt.count(n)}" for name, n in text.composition.items())
    other = f"{fmt.count(len(text.fit))} other documents, {fmt.count(fitted)} tokens"
    return b.facts(
        "size",
        b.fact("tokens", "Tokens predicted", text.predicted),
        b.fact("documents", "Documents", len(text.eval), f"in blocks of at most {text.block}"),
        b.fact("fit", "Fit part", other),
        b.fact("domains", "Documents by domain", domains if len(text.composition) > 1 else None),
        b.fact("right", "Tokens on which the intact model is right", right),
        counts_of(tables),
    )


def counts_of(tables: Sequence[Counted]) -> b.Row:
    """What n-gram tables were counted on."""
    words = counted(tables).removeprefix("N-gram tables: ")
    return b.fact("counted", "N-gram tables", words or None)


def within_noise(damage: Number) -> bool:
    """Whether an ablation's damage cannot be told from zero."""
    if damage.value is None or damage.low is None or damage.high is None:
        return damage.value is None
    return damage.low <= 0 <= damage.high


def _costs(damage: Mapping[str, Number]) -> b.Section:
    """What each ablation costs: what every fraction is divided by."""
    tags = {
        name: "within noise of zero" if within_noise(cost) else "" for name, cost in damage.items()
    }
    notes = {name: "reference" if name == REFERENCE else "" for name in damage}
    table = b.Table(
        key="damage",
        corner="Ablation",
        columns=(b.Column(key="nats", heading="Damage, nats per token"),),
        rows=tuple(
            b.Row(key=name, name=name, role="ablation", cells=(cost,),
                  note=", ".join(part for part in (notes[name], tags[name]) if part))
            for name, cost in damage.items()
        ),
    )  # fmt: skip
    tracks = tuple(
        b.Track(name=name, note=notes[name], tag=tags[name], role="ablation",
                marks=(table.at(name, "nats"),))
        for name in damage
    )  # fmt: skip
    words = (
        "Damage: loss under the ablation minus loss of the intact model. These are the denominators "
        "of every fraction below; a fraction of a damage that cannot be told from zero is refused."
    )
    forest = b.Forest(key="forest", share=False, tracks=tracks)
    blocks = (b.Prose(words=words), forest, table)
    return b.Section(key="costs", title="What each ablation costs", blocks=blocks)


def _factors(factors: Sequence[Factor]) -> b.Section:
    """Where against how much."""
    cells = {(factor.where, factor.amount): factor.recovered for factor in factors}
    table = b.Table(
        key="square",
        corner="Where",
        shaded=True,
        columns=tuple(
            b.Column(key=key, heading=words, group="How much", style="share")
            for key, words in AMOUNT.items()
        ),
        rows=tuple(
            b.Row(
                key=where,
                name=words,
                note="; ".join(f.row for f in factors if f.where == where),
                cells=tuple(cells[where, amount] for amount in AMOUNT),  # type: ignore[index]
            )
            for where, words in WHERE.items()
        ),
    )
    says = (
        "A head's pattern says where it looks and how much weight it puts there. Each cell takes one "
        f"from the rule and the other from the model; fraction recovered against {REFERENCE} ablation."
    )
    blocks = (b.Prose(words=says), table)
    return b.Section(key="factors", title="Where against how much", blocks=blocks)


def _nested(steps: Mapping[str, tuple[str, Number]]) -> b.Section:
    """Hypotheses that contain one another: what each recovers more than the one before."""
    table = b.Table(
        key="steps",
        corner="Hypothesis",
        columns=(b.Column(key="more", heading="Recovers more, percentage points", style="points"),),
        rows=tuple(
            b.Row(key=name, name=name, note=f"contains {before}", role="fitted", cells=(more,))
            for name, (before, more) in steps.items()
        ),
    )
    says = (
        "Each contains the one before and is fitted on other documents: what it recovers more of "
        f"what {REFERENCE} ablation costs, on the same documents. Below 0 it was fitted to what this "
        "text is not, or for what does not lower the loss."
    )
    blocks = (b.Prose(words=says), table)
    return b.Section(key="nested", title="Nested hypotheses", blocks=blocks)


def _context(context: ContextGain) -> b.Section:
    """What earlier text is worth to the model, and what each row loses of that."""
    words = (
        f"How much lower the loss is at “{context.late}” than at “{context.early}”: what earlier text "
        "is worth to the model. What a row loses of it, it loses by using context worse, since the "
        "tokens are the same."
    )
    table = b.Table(
        key="gain",
        caption="Nats per token.",
        corner="Row",
        columns=(
            b.Column(key="gain", heading="Gain in context"),
            b.Column(key="lost", heading="Lost of it"),
        ),
        rows=tuple(
            b.Row(key=name, name=name, cells=(gain, context.lost.get(name)))
            for name, gain in context.gain.items()
        ),
        folded=len(context.gain) > FEW,
    )
    blocks = (b.Prose(words=words), table)
    return b.Section(key="context", title="Gain in context", blocks=blocks)
