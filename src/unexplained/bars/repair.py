"""Self-repair as blocks: what ablating a head does to the right token's logit, road by road."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unexplained.bars.flips import corrected
from unexplained.bars.measures import measure_of
from unexplained.record import Number
from unexplained.record import format as fmt
from unexplained.record.blocks import (
    Answer,
    AnswerRow,
    Column,
    Prose,
    Row,
    Section,
    Table,
    fact,
    facts,
)
from unexplained.record.keys import step
from unexplained.shares import untold
from unexplained.stats import Settings, difference_of_means, fraction, mean_per_token, too_few

PUBLISHED = 0.30
"""Share of self-repair of direct effects that is the norm's scale (Rushing and Nanda 2024: "possibly 30%")."""
LEAST = measure_of("logit difference", pairs=True).floor
"""Logits that are rounding."""
TOP = 0.02
"""Share of a head's predictions on which its direct effect is largest (as there)."""
MOST = 10
"""Heads that the answer names."""
LOGITS = "logits"
COLUMNS = (
    ("direct", "Direct"),
    ("opposing", "Later, opposing"),
    ("agreeing", "Later, agreeing"),
    ("norm", "Norm's scale"),
    ("total", "Total"),
)


@dataclass(frozen=True)
class RoadSums:
    """Roads of every head, by document: sums over predictions, and over those where it matters most."""

    roads: Mapping[str, Mapping[str, NDArray[np.float64]]]
    """Head → road → sums by document."""
    counts: Mapping[str, NDArray[np.float64]]
    """Head → predictions by document."""
    everywhere: Mapping[str, Mapping[str, NDArray[np.float64]]]
    """The same over all predictions."""
    tokens: NDArray[np.float64]
    settings: Settings

    def _mean(self, head: str, road: str) -> Number:
        found = mean_per_token(
            self.roads[head][road], self.counts[head], settings=self.settings, unit=LOGITS
        )
        if not (why := too_few(self.counts[head])):
            return found
        return found.model_copy(
            update={
                "bare": f"of the {TOP:.0%} of predictions that are counted, {why}: more documents"
            }
        )

    def _all(self, head: str, road: str) -> Number:
        return mean_per_token(
            self.everywhere[head][road], self.tokens, settings=self.settings, unit=LOGITS
        )

    @property
    def ranked(self) -> list[str]:
        """The heads whose direct effect is largest first."""
        return sorted(
            self.roads,
            key=lambda head: float(self.roads[head]["direct"].sum() / self.counts[head].sum()),
        )

    def share(self, roads: Sequence[str], heads: list[str]) -> Number:
        """What some roads undo of the direct effect, over some heads together."""
        repaired = sum(self.roads[head][road] for head in heads for road in roads)
        direct = sum(-self.roads[head]["direct"] for head in heads)
        counts = sum(self.counts[head] for head in heads)
        found = fraction(
            np.asarray(repaired), np.asarray(direct), np.asarray(counts), settings=self.settings,
            what="direct effect", unit=LOGITS, floor=LEAST, if_negative="the heads lower the right token's logit",
        )  # fmt: skip
        return self._of_text(found, heads)

    def _of_text(self, found: Number, heads: Sequence[str]) -> Number:
        """What a refused share takes in tokens of the text, of which each head's chosen ones are few."""
        if found.tokens_needed is None:
            return found
        chosen = sum(float(self.counts[head].sum()) for head in heads)
        needed = math.ceil(found.tokens_needed * float(self.tokens.sum()) / chosen)
        return found.model_copy(update={"tokens_needed": needed})

    @property
    def late(self) -> list[str]:
        """Heads of the last third of the layers that have some, where direct effects are what there is."""
        layers = {head: int(head[1:].split(".")[0]) for head in self.roads}
        every = sorted(set(layers.values()))
        last = set(every[-max(1, len(every) // 3) :])
        return [head for head, layer in layers.items() if layer in last]

    def of_norm(self, heads: list[str]) -> Number:
        """The norm's part of the net change after the direct effect (total less direct), over some heads."""
        net = sum(self.roads[head]["total"] - self.roads[head]["direct"] for head in heads)
        return self._norm(heads, np.asarray(net))

    def of_norm_apart(self, heads: list[str]) -> Number:
        """The norm's part of what goes against the direct effect: what goes with it is no repair and is left out."""
        against = sum(self.roads[head][road] for head in heads for road in ("opposing", "norm"))
        return self._norm(heads, np.asarray(against))

    def _norm(self, heads: list[str], repaired: NDArray[np.float64]) -> Number:
        norm = sum(self.roads[head]["norm"] for head in heads)
        counts = sum(self.counts[head] for head in heads)
        found = fraction(
            np.asarray(norm), repaired, np.asarray(counts), settings=self.settings,
            what="self-repair", unit=LOGITS, floor=LEAST, if_negative="what follows does not make up for the heads, it adds to their loss",
        )  # fmt: skip
        return self._of_text(found, heads)

    def answer(self) -> Answer:
        """The heads that matter most directly."""
        return Answer(
            corner="Head",
            columns=tuple(Column(key=k, heading=h) for k, h in COLUMNS),
            rows=tuple(
                AnswerRow(
                    name=head,
                    cells=tuple(f"heads/where/{step(head)}/{k}" for k, _ in COLUMNS),
                )
                for head in self.ranked[:MOST]
            ),
            beside=(
                AnswerRow(name="Of the net repair, the norm's scale", cells=("facts/norm/is", *(None,) * 4), style="share"),
                AnswerRow(name="Agreeing parts left out", cells=("facts/norm-apart/is", *(None,) * 4), style="share"),
            ),
            says=f"Changes of the right token's logit on the {TOP:.0%} of predictions where the head's "
            "direct effect is largest.",
        )  # fmt: skip

    def facts(self, model: str, text: str, ablation: str) -> Table:
        """What was measured, and the shares over late heads and all."""
        late, every = self.late, list(self.roads)
        about = f"{len(late)} heads of the last third of their layers"
        return facts(
            "facts",
            fact("model", "Model", model),
            fact("text", "Text", text),
            fact("ablation", "Ablation", ablation),
            fact("heads", "Heads", len(every)),
            fact("predictions", "Predictions", int(self.tokens.sum())),
            fact("norm", "Of the net repair, the norm's scale", self.of_norm(late),
                 f"{about}; published: about {PUBLISHED:.0%} (Rushing and Nanda 2024)"),
            fact("norm-apart", "Of opposing parts and the norm, the norm's scale", self.of_norm_apart(late),
                 "what agrees with the direct effect, an effect through later blocks, is not taken off"),
            fact("norm-all", "The same over all heads", self.of_norm(every)),
            fact("undone", "Of the direct effect, undone by opposing parts", self.share(["opposing"], late),
                 "late heads; whatever scatters is in part opposing, so see the next"),
            fact("net", "The same, agreeing parts taken off", self.share(["opposing", "agreeing"], late)),
            fact("by-norm", "Of the direct effect, undone by the norm's scale", self.share(["norm"], late)),
        )  # fmt: skip

    def heads(self) -> Section:
        """Every head, where its direct effect is largest and everywhere."""

        def table(key: str, title: str, everywhere: bool) -> Table:
            mean = self._all if everywhere else self._mean
            return Table(
                key=key, title=title, corner="Head",
                columns=tuple(Column(key=k, heading=h) for k, h in COLUMNS),
                rows=tuple(
                    Row(key=head, name=head, cells=tuple(mean(head, k) for k, _ in COLUMNS))
                    for head in self.ranked
                ),
            )  # fmt: skip

        words = (
            "Change of the right token's logit when a head is ablated. Direct: what it no longer writes, at "
            "the final norm's intact scale. Later: what later blocks write otherwise, at that scale; opposing "
            "is what goes against the direct change (a repair), agreeing what goes with it (an effect through "
            "them, no repair), told prediction by prediction. Norm's scale: what the final norm's other scale "
            "does. The four add up to the total."
        )
        return Section(
            key="heads",
            title="Every head",
            blocks=(
                Prose(words=words),
                table("where", f"On the {TOP:.0%} of predictions where it matters most", False),
                table("everywhere", "On all predictions", True),
            ),
        )

    def verdict(self) -> str:
        """In plain words."""
        first = self.ranked[0]
        direct, total = self._mean(first, "direct"), self._mean(first, "total")
        norm, apart = self.of_norm(self.late), self.of_norm_apart(self.late)
        told = (
            f"Of what is repaired on balance over {len(self.late)} late heads the norm's scale does "
            f"{fmt.written(norm, scale=100, mark='%')} (published: about {PUBLISHED:.0%})"
            if norm.value is not None
            else f"The norm's part of the repair is refused: {norm.refused}"
        )
        if apart.value is not None:
            told += (
                f"; of opposing parts and the norm together, effects that go with the direct one left out, "
                f"{fmt.written(apart, scale=100, mark='%')}"
            )
        if why := untold(direct) or untold(total):
            return (
                f"What ablating {first} does to the right token's logit is refused: {why}. {told}."
            )
        return (
            f"Ablating {first}, which matters most directly{self._beside(first)}, moves the right token's logit by {fmt.written(direct)} "
            f"directly and {fmt.written(total)} in total. {told}."
        )

    def _beside(self, first: str) -> str:
        """How many other heads are not told to matter less than the first: any could have been it."""
        strict = corrected(self.settings, math.comb(len(self.roads), 2))
        lead = self.roads[first]["direct"], self.counts[first]
        apart = [
            difference_of_means(
                lead, (self.roads[head]["direct"], self.counts[head]), settings=strict
            )
            for head in self.roads
            if head != first
        ]
        others = sum(one.high is None or one.high >= 0 for one in apart)
        told = f"{others} other head{'s are' if others > 1 else ' is'} not told to matter less"
        return f" on these documents ({told})" if others else ""
