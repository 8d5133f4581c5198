"""Copy suppression as blocks: by its authors' definition at every head, and by what it is worth in the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from unexplained.bars.flips import corrected
from unexplained.bars.paired import paired
from unexplained.bars.reading import Reading
from unexplained.bars.scales import answered
from unexplained.bars.suppressed_path import FEWEST_NATS, KEYS, OnPath
from unexplained.ledger import ALL, NATS
from unexplained.record import Number, Scale
from unexplained.record import format as fmt
from unexplained.record.blocks import (
    Answer,
    AnswerRow,
    Column,
    Grid,
    GridRow,
    Prose,
    Row,
    Section,
    Table,
    fact,
    facts,
)
from unexplained.record.keys import step
from unexplained.shares import in_percent, percent
from unexplained.stats import fraction

if TYPE_CHECKING:
    from unexplained.text import Text

PUBLISHED_CONTEXT = 1000
EFFECTS = {
    "direct, norm frozen": "Direct, final norm held",
    "direct": "Direct, norm free",
    "total, norms frozen": "Total, norms held",
    "total": "Total",
}
"""From the authors' path to what the model does."""
COLUMNS = (
    ("both", "OV and QK", "5% of positions"),
    ("both-distinct", "OV and QK", "5% of distinct tokens"),
    ("ov", "OV only", ""),
    ("qk", "QK only", "5% of positions"),
    ("qk-distinct", "QK only", "5% of distinct tokens"),
    ("other", "Of other tokens", "control"),
)


@dataclass(frozen=True)
class Suppression:
    """What was measured, and how it is shown."""

    model: str
    path: OnPath
    """On the documents that chose no head."""
    twin: OnPath
    """Of the random-weight model."""
    best: tuple[str, ...]
    controls: tuple[str, ...]
    read: Reading
    """Total effects, on the same documents."""
    means: Mapping[str, str]
    """Head → arm of its mean."""
    kept: Mapping[str, Mapping[str, str]]
    """Head → what is kept → arm."""
    scale: Scale | None = None
    """The best head's mean, copy suppression there and its control on the scale of training compute."""

    @property
    def shown(self) -> tuple[str, ...]:
        """The best heads, then those beside them."""
        return (*self.best, *self.controls)

    def in_loss(self, head: str, effect: str = "total", kept: str = "both") -> Number:
        """Recovered of what the head's mean costs."""
        one, mean = (
            self._effect(self.kept[head][kept], effect),
            self._effect(self.means[head], effect),
        )
        return self.read.recovered(one, mean)

    def beyond_control(self, head: str) -> Number:
        """What it recovers in loss more than the same rule with other tokens does."""
        kept = self.kept[head]
        return self.read.regained(kept[KEYS["other"]], kept["both"], self.means[head])

    def worth(self, head: str, effect: str = "total") -> Number:
        """What the head's mean costs (nats per token)."""
        return self.read.increase(self._effect(self.means[head], effect))

    def in_kl(self, head: str, effect: str = "total", kept: str = "both") -> Number:
        """1 − KL(copy suppression) / KL(mean), of an effect in the model."""
        one, mean = (
            self._effect(self.kept[head][kept], effect),
            self._effect(self.means[head], effect),
        )
        read = paired(self.read.ledger, "kl", (mean, one), ALL)
        worst, left = read.columns
        return fraction(
            worst - left, worst, read.tokens, what="KL of the head's mean", floor=FEWEST_NATS,
            settings=self.read.settings,
        )  # fmt: skip

    def carried(self, head: str, effect: str = "total") -> Number:
        """What copy suppression saves of the head's mean (nats per token)."""
        one, mean = (
            self._effect(self.kept[head]["both"], effect),
            self._effect(self.means[head], effect),
        )
        return self.read.increase(mean, over=one)

    def _effect(self, arm: str, effect: str) -> str:
        return self.read.card(arm).effects[effect]

    # Blocks

    def answer(self) -> Answer:
        """The best heads by the definition, and what is left of it in the loss."""
        columns = (
            Column(key="both", heading="By definition", style="share"),
            Column(key="other", heading="Other tokens", style="share"),
            Column(key="loss", heading="In loss, total", style="share"),
            Column(key="worth", heading="Head's worth"),
        )

        def row(head: str) -> AnswerRow:
            at = step(head)
            cells = (f"definition/heads/{at}/both", f"definition/heads/{at}/other",
                     f"total/heads/{at}/loss", f"total/heads/{at}/worth")  # fmt: skip
            return AnswerRow(name=head, role="" if head in self.best else "control", cells=cells)

        return Answer(
            corner="Head",
            columns=columns,
            rows=tuple(row(head) for head in (*self.best[:6], *self.controls[:4])),
            beside=tuple(answered(self.scale, self.kept[self.best[0]]["both"], len(columns))),
            says=f"{_best(len(self.best[:6]))}, by nats explained on other documents, then the strongest others. "
            "By definition: of what the head's mean does to the predictions (KL, direct path, final norm held), "
            "kept by copy suppression; published for GPT-2 small L10H7: 76.9%. Other tokens: by the same rule, with "
            "other tokens about as frequent in the place of the context's. In loss: of the nats per token "
            "that its mean costs in the running model (worth).",
        )  # fmt: skip

    def facts(self, text: Text, choosing: int, scoring: int, predictions: int) -> Table:
        """What was measured on what."""
        every = [self.path.explained(head).value for head in self.path.heads]
        known = [one for one in every if one is not None]
        random = [self.twin.explained(head).value for head in self.twin.heads]
        drawn = [one for one in random if one is not None]
        return facts(
            "facts",
            fact("model", "Model", self.model),
            fact("text", "Text", text.name),
            fact("context", "Tokens of the longest document", max(len(block.tokens) for block in text.eval),
                 f"about {PUBLISHED_CONTEXT:,} in the paper, so not of the same setting"),
            fact("heads", "Heads on the direct path", len(self.path.heads)),
            fact("choosing", "Documents that choose heads", choosing),
            fact("scoring", "Documents that score them", scoring),
            fact("predictions", "Predictions of each, direct path", predictions, "at most; drawn by the document's hash"),
            fact("median", "Median over heads, by definition", in_percent(float(np.median(known))) if known else "none"),
            fact("twin", "Median over heads of the random-weight model",
                 in_percent(float(np.median(drawn))) if drawn else "none"),
            fact("published", "Published, GPT-2 small L10H7", "76.9% (OV only 81.1%, QK only 95.2%)",
                 "McDougall, Conmy, Rushing, McGrath and Nanda 2023; a rerun in 2026 gave 70.2%"),
        )  # fmt: skip

    def definition(self) -> Section:
        """By the authors' definition."""
        words = (
            "Every head by itself. What a head moves from each earlier token is cut down to copy suppression: "
            "along that token's unembedding and only where it lowers it (OV), and only for tokens of the context "
            "that the stream before the head predicts most (QK, 5%); the rest is the head's mean at the position. "
            "The change goes straight to the logits, with the final norm's scale as it was. "
            "Explained: 1 − KL(model‖cut down) / KL(model‖mean). The unexplained part may be clumsiness of the cut."
        )
        columns = [Column(key="damage", heading="KL of mean", note=NATS)]
        columns += [Column(key=k, heading=h, note=n, style="share") for k, h, n in COLUMNS]
        columns.append(
            Column(key="twin", heading="OV and QK", note="random weights", style="share")
        )
        table = Table(
            key="heads", title="The best, and the strongest others", corner="Head", columns=tuple(columns),
            rows=tuple(
                Row(
                    key=head, name=head, role="" if head in self.best else "control",
                    cells=(
                        self.path.damage(head),
                        *(self.path.explained(head, KEYS[key]) for key, _, _ in COLUMNS),
                        self.twin.explained(head),
                    ),
                )
                for head in self.shown
            ),
        )  # fmt: skip
        return Section(
            key="definition", title="By its authors' definition", blocks=(Prose(words=words), table)
        )

    def total(self) -> Section:
        """The same put into the running model."""
        words = (
            "The same stand-in in the head's place while the model runs: later layers react, no norm is held. "
            "Worth: what the head's mean costs in loss. A share of a worth within noise is refused."
        )
        columns = (
            Column(key="worth", heading="Worth", note=NATS),
            Column(key="loss", heading="Recovered", note="of the loss", style="share"),
            Column(key="saved", heading="Saved", note=NATS),
            Column(key="kl", heading="Explained", note="of the KL", style="share"),
        )
        table = Table(
            key="heads", title="In the running model", corner="Head", columns=columns,
            rows=tuple(
                Row(key=h, name=h, role="" if h in self.best else "control",
                    cells=(self.worth(h), self.in_loss(h), self.carried(h), self.in_kl(h)))
                for h in self.shown
            ),
        )  # fmt: skip
        return Section(
            key="total", title="In the running model", blocks=(Prose(words=words), table)
        )

    def best_head(self) -> Section:
        """From their number to ours, at the best head."""
        head = self.best[0]
        columns = (
            Column(key="kl", heading="Explained", note="of the KL", style="share"),
            Column(key="worth", heading="Worth", note=NATS),
            Column(key="saved", heading="Saved", note=NATS),
            Column(key="loss", heading="Recovered", note="of the loss", style="share"),
        )
        steps = Table(
            key="effects", title="From the direct path to the model", corner="Effect", columns=columns,
            rows=tuple(
                Row(key=effect.replace(", ", "-").replace(" ", "-"), name=name,
                    cells=(self.in_kl(head, effect), self.worth(head, effect),
                           self.carried(head, effect), self.in_loss(head, effect)))
                for effect, name in EFFECTS.items()
            ),
        )  # fmt: skip
        others = Table(
            key="parts", title="OV and QK apart, total effect", corner="Kept",
            columns=(columns[0], columns[3]),
            rows=tuple(
                Row(key=key, name=heading, note=note, cells=(self.in_kl(head, kept=KEYS[key]), self.in_loss(head, kept=KEYS[key])))
                for key, heading, note in COLUMNS
                if KEYS[key] in self.kept[head]
            ),
        )  # fmt: skip
        words = (
            f"{head} had most nats explained on the documents that choose; these are others. The first line is the "
            "authors' definition again, on every prediction and by another route."
        )
        return Section(
            key="best", title=f"The best head: {head}", blocks=(Prose(words=words), steps, others)
        )

    def every(self) -> Section:
        """All heads."""
        columns = (
            Column(key="damage", heading="KL of mean", note=NATS),
            Column(key="both", heading="OV and QK", style="share"),
            Column(key="twin", heading="OV and QK", note="random weights", style="share"),
        )
        table = Table(
            key="all", title="Every head", corner="Head", columns=columns, folded=True,
            rows=tuple(
                Row(key=h, name=h, cells=(self.path.damage(h), self.path.explained(h), self.twin.explained(h)))
                for h in self.path.heads
            ),
        )  # fmt: skip
        return Section(key="every", title="Every head", blocks=(self._grid(), table))

    def _grid(self) -> Grid:
        places = [tuple(head.split(".")) for head in self.path.heads]
        layers, heads = (list(dict.fromkeys(one)) for one in zip(*places, strict=True))
        heads.sort(key=lambda name: int(name[1:]))
        return Grid(
            key="map", title="Explained by definition", corner="Layer", columns=tuple(heads),
            rows=tuple(
                GridRow(name=layer, cells=tuple(
                    f"all/{step(f'{layer}.{head}')}/both" if (layer, head) in places else None for head in heads
                ))
                for layer in layers
            ),
        )  # fmt: skip

    def verdict(self) -> str:
        """In plain words: what is not told from its control is not said to be copy suppression."""
        head, many = self.best[0], len(self.path.heads)
        among = f"{many} heads" if many > 1 else "one head"
        chosen = (
            f"chosen among {among} on other documents" if many > 1 else "the only head asked for"
        )
        theirs = self.path.explained(head)
        if theirs.value is None:
            return f"{head}, chosen among {among}, is not told to be a copy suppressor: what copy suppression explains of it is refused: {theirs.refused}."
        other = f"by the same rule with other tokens, {percent(self.path.explained(head, KEYS['other']))}"
        by = f"{percent(theirs)} of {head} (published for GPT-2 small L10H7: 76.9%); {other}"
        if not theirs.above_zero:
            return f"{head}, {chosen}, is not told to be a copy suppressor: its authors' definition explains {by}. {self._others(head)}"
        if not self.path.beyond_control(head).above_zero:
            return (
                f"{head}, {chosen}, is not told from its control: its authors' definition explains {by}. "
                f"{self._others(head)}"
            )
        return (
            f"Copy suppression is at its best at {head} of {among}: by its authors' definition it explains {by}. "
            f"{self._in_the_model(head)}. {self._others(head)}"
        ).strip()

    def _others(self, head: str) -> str:
        """How many of the other heads are told from their controls, all of them together."""
        others = [one for one in self.path.heads if one != head]
        if not others:
            return ""
        strict = replace(self.path, settings=corrected(self.path.settings, len(others)))
        told = [one for one in others if strict.beyond_control(one).above_zero]
        named = f" ({fmt.in_short(told, most=5)})" if told else ""
        if len(others) == 1:
            return f"The other head does{'' if told else ' not'} explain more than its control for certain."
        return f"Of the {len(others)} other heads {len(told) or 'none'} explain more than their controls for certain, corrected for so many{named}."

    def _in_the_model(self, head: str) -> str:
        """The same claim in loss, beside its control in loss."""
        ours, other = self.in_loss(head), self.in_loss(head, kept=KEYS["other"])
        if ours.value is None:
            return f"In the running model its share of the loss is refused: {ours.refused}"
        worth = f"the {fmt.written(self.worth(head))} nats per token that the head is worth"
        told = self.beyond_control(head).above_zero
        than = "" if told else ", which is not told from its control"
        return f"In the running model it recovers {percent(ours)} of {worth}{than}; with other tokens, {percent(other)}"


def _best(heads: int) -> str:
    return f"The best {heads} heads" if heads > 1 else "The best head"
