"""What was measured of some arms on a text: their losses and their cards. No torch.

A reading only asks `bars`: it holds the ledger and the settings that all of their functions take, so
that no number of one record can come from other resamples than the next.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from unexplained import bars
from unexplained.bars.cards import Card, Must
from unexplained.bars.counterexamples import Hunt
from unexplained.bars.crucial import Crucial
from unexplained.bars.effects import Changes, Effect
from unexplained.bars.factors import Amount, FactorReading, LookedUpBy
from unexplained.bars.joints import Joint
from unexplained.bars.measures import Measure
from unexplained.bars.orders import Step
from unexplained.bars.recovered import INTACT
from unexplained.bars.rows import RowNumbers
from unexplained.bars.rungs import Seeds
from unexplained.bars.tasks import OnTask
from unexplained.errors import MeasurementError, near_matches
from unexplained.files import read_json
from unexplained.ledger import ALL, Ledger, StratumKey
from unexplained.places import write_whole
from unexplained.record import Number
from unexplained.record.bars import (
    Bars,
    Concentration,
    ContextGain,
    KeptCurve,
    OnCrucial,
    OverRuns,
    Ties,
)
from unexplained.record.blocks import Check
from unexplained.shares import untold
from unexplained.sites import Site
from unexplained.stats import Settings

_CARDS = TypeAdapter(list[Card])
NORM_FREE = "norm free"
DIRECT = {NORM_FREE: "direct", "norm frozen": "direct, norm frozen"}
"""Direct effects in words, and what they are called on a card."""
LITTLE = 0.1
"""Of what a claim recovers: a control that for certain recovers less leaves its score standing."""
"""Family and label of some of the tokens."""


@dataclass(frozen=True)
class Reading:
    """Arms on one text."""

    ledger: Ledger
    cards: tuple[Card, ...]
    settings: Settings
    text: str
    """Name of the text."""

    def card(self, name: str) -> Card:
        """The card of that name.

        Raises:
            MeasurementError: There is none (with near matches).
        """
        known = {card.name: card for card in self.cards}
        if name not in known:
            raise MeasurementError(
                f"The arm '{name}'", "it was not measured", near_matches(name, known)
            )
        return known[name]

    def of(self, *roles: str) -> tuple[Card, ...]:
        """The cards that have one of some roles, in order."""
        return tuple(card for card in self.cards if card.role in roles)

    # Losses

    def loss(self, name: str = INTACT, stratum: StratumKey = ALL) -> Number:
        """Mean loss (nats per token)."""
        return bars.loss(self.ledger, self._in(name), stratum=stratum, settings=self.settings)

    def increase(self, name: str, stratum: StratumKey = ALL, *, over: str = INTACT) -> Number:
        """Loss minus the intact model's, or another arm's (nats per token)."""
        return bars.increase(
            self.ledger, self._in(name), intact=self._in(over), stratum=stratum,
            settings=self.settings,
        )  # fmt: skip

    def kl(self, name: str, stratum: StratumKey = ALL) -> Number:
        """Mean divergence from the intact model (nats per token)."""
        return bars.kl(self.ledger, self._in(name), stratum=stratum, settings=self.settings)

    def agreement(self, name: str, stratum: StratumKey = ALL) -> Number:
        """Share of tokens whose top-1 prediction is the intact model's."""
        return bars.agreement(self.ledger, self._in(name), stratum=stratum, settings=self.settings)

    def reliability(self, name: str = INTACT, stratum: StratumKey = ALL) -> Number:
        """Share of tokens whose top-1 prediction is the text's own."""
        return bars.reliability(
            self.ledger, self._in(name), stratum=stratum, settings=self.settings
        )

    def recovered(self, name: str, against: str, stratum: StratumKey = ALL) -> Number:
        """Share of an ablation's damage that is recovered."""
        return bars.recovered(
            self.ledger, self._in(name), self._in(against), stratum=stratum, settings=self.settings
        )

    def regained(self, before: str, after: str, against: str) -> Number:
        """See `bars.regained`: the difference of what two arms recover."""
        return bars.regained(
            self.ledger,
            self._in(before),
            self._in(after),
            self._in(against),
            settings=self.settings,
        )

    def damage(self, ablation: str, stratum: StratumKey = ALL) -> Number:
        """What an ablation costs (nats per token)."""
        return bars.damage(self.ledger, self._in(ablation), stratum=stratum, settings=self.settings)

    def row(
        self, name: str, against: Sequence[str], reference: str, *, strata: bool = True
    ) -> RowNumbers:
        """All numbers of an arm (`bars.measure_row`).

        Args:
            name: The arm.
            against: Ablations that `recovered` is taken against.
            reference: That of them which bars, nines, strata and direct effects are against.
            strata: Whether to go through the strata as well.
        """
        card, ablation = self.card(name), self.card(reference)
        direct = {
            words: (card.effects[effect], ablation.effects[effect])
            for words, effect in DIRECT.items()
            if card is not ablation and effect in card.effects and effect in ablation.effects
        }
        return bars.measure_row(
            self.ledger, card.condition, ablations=against, reference=reference, direct=direct,
            variance=direct.get(NORM_FREE), settings=self.settings, strata=strata,
            same=self._alike(card),
        )  # fmt: skip

    def context(self, names: Sequence[str]) -> ContextGain | None:
        """What earlier text is worth to some arms (`bars.context_gain`)."""
        found = bars.context_gain(self.ledger, list(map(self._in, names)), settings=self.settings)
        if found is None:
            return None
        gain = {name: found.gain[self._in(name)] for name in (INTACT, *names)}
        lost = {name: found.lost[self._in(name)] for name in names}
        return found.model_copy(update={"gain": gain, "lost": lost})

    def factors(
        self, cells: Mapping[tuple[LookedUpBy, Amount], str], reference: str
    ) -> FactorReading:
        """Where against how much (`bars.factors`)."""
        return bars.factors(self.ledger, cells, reference, settings=self.settings)

    # Among weaker models

    def place(self, name: str, weaker: Sequence[str], seeds: Seeds | None = None) -> Ties:
        """Where an arm stands among weaker models (`bars.ties_with`)."""
        return bars.ties_with(
            self.ledger, self._in(name), weaker, seeds=seeds, settings=self.settings
        )

    def bars(
        self,
        names: Sequence[str],
        baselines: Sequence[str],
        weaker: Sequence[str] = (),
        seeds: Seeds | None = None,
    ) -> tuple[Bars, ...]:
        """Arms against every baseline and every weaker model (`bars.bars_of`)."""
        found = bars.bars_of(
            self.ledger, list(map(self._in, names)), [self._in(one) for one in baselines], weaker,
            seeds=seeds, settings=self.settings,
        )  # fmt: skip
        return tuple(
            one.model_copy(update={"condition": name})
            for one, name in zip(found, names, strict=True)
        )

    def in_orders(
        self,
        measured: Mapping[tuple[int, int], tuple[str, str]],
        weaker: Sequence[str] = (),
        seeds: Seeds | None = None,
    ) -> tuple[Step, ...]:
        """What it costs to replace more and more, in several orders (`bars.in_orders`)."""
        named = {at: (self._in(one), self._in(other)) for at, (one, other) in measured.items()}
        return bars.in_orders(self.ledger, named, weaker, seeds=seeds, settings=self.settings)

    # Tasks

    def on_task(
        self,
        steps: Mapping[int, tuple[str, str]],
        weaker: Sequence[str],
        runs: Sequence[str],
        **task: Any,
    ) -> OnTask:
        """More and more explained on one task, by loss and by accuracy (`bars.on_task`)."""
        measured = {n: (self._in(one), self._in(other)) for n, (one, other) in steps.items()}
        return bars.on_task(self.ledger, measured, weaker, runs, settings=self.settings, **task)

    # Where a gap lives

    def concentration(
        self, strong: str, weak: str, *, chosen_by: tuple[str, str] | None = None
    ) -> Concentration:
        """How few tokens carry the gap between two models (`bars.concentration`)."""
        return bars.concentration(
            self.ledger, self._in(strong), self._in(weak), chosen_by=chosen_by,
            settings=self.settings,
        )  # fmt: skip

    def over_pairs(self, pairs: Sequence[tuple[str, str]]) -> OverRuns:
        """A gap over several pairs of runs (`bars.over_pairs`)."""
        return bars.over_pairs(self.ledger, pairs, settings=self.settings)

    def crucial(self, strong: str, weak: str, share: float) -> Crucial:
        """The tokens where one model is furthest ahead of another."""
        return bars.crucial(self.ledger, strong, weak, share=share)

    def recovered_on(self, name: str, against: str, tokens: Crucial, weak: str) -> OnCrucial:
        """Fraction recovered and gap score on some tokens and on the rest (`bars.recovered_on`)."""
        return bars.recovered_on(
            self.ledger, self._in(name), self._in(against), tokens, weak=weak,
            settings=self.settings,
        )  # fmt: skip

    def hunted(self, name: str, against: str, *, top: float, keeps: float) -> Hunt:
        """What a claim leaves of the predictions that its component helps or harms (`bars.hunted`)."""
        return bars.hunted(
            self.ledger, self._in(name), self._in(against), top=top, keeps=keeps,
            settings=self.settings,
        )  # fmt: skip

    # Circuits

    def logit_difference(self, name: str = INTACT, *, less: str | None = None) -> Number:
        """Mean logit difference of pairs (logits per pair), less another condition's if wanted."""
        less = less and self._in(less)
        return bars.logit_difference(self.ledger, self._in(name), less=less, settings=self.settings)

    def kept_by_size(
        self, circuits: Mapping[int, Sequence[str]], edges: int, *, keeps: float
    ) -> KeptCurve:
        """What circuits of some sizes keep of a behaviour (`bars.kept_by_size`)."""
        named = {count: list(map(self._in, names)) for count, names in circuits.items()}
        return bars.kept_by_size(self.ledger, named, edges, keeps=keeps, settings=self.settings)

    def beside(self, name: str, other: Reading) -> Reading:
        """The same with the intact model of another reading as a condition of that name."""
        rows = other.ledger.also({name: INTACT}).only([name])
        return replace(self, ledger=Ledger.concat([self.ledger, rows]))

    # What components do

    def changes(self, sites: Sequence[Site], measure: Measure) -> Changes:
        """A measure's changes, each component ablated alone (`bars.changes`)."""
        return bars.changes(self.ledger, sites, measure)

    def effects(
        self, sites: Sequence[Site], measure: Measure, corrupted: Reading | None = None
    ) -> tuple[Effect, ...]:
        """Every component's effect on all documents (`bars.effects.exact`)."""
        other = None if corrupted is None else corrupted.ledger
        return bars.exact(self.ledger, sites, measure, self.settings, other)

    def joint(self, group: Sequence[Site], measure: Measure) -> Joint:
        """What components do together and alone (`bars.joint`)."""
        return bars.joint(self.ledger, group, measure, self.settings)

    def level(self, measure: Measure) -> Number:
        """The measure of the intact model."""
        return bars.level(self.ledger, measure, self.settings)

    def and_documents(self, other: Reading) -> Reading:
        """The same arms, and beside these documents those of another reading."""
        return replace(self, ledger=Ledger.concat([self.ledger, other.ledger]))

    def and_arms(self, other: Reading) -> Reading:
        """The same documents, and beside these arms those of another reading."""
        new = [name for name in other.ledger.conditions if name not in self.ledger.conditions]
        ledger = Ledger.concat([self.ledger, other.ledger.only(new)])
        return replace(self, ledger=ledger, cards=(*self.cards, *other.cards))

    # Controls

    def checks(self) -> tuple[Check, ...]:
        """What the controls gave that were measured beside claims; a run puts them into its record."""
        return tuple(self._check(card, card.must) for card in self.cards if card.must is not None)

    def _check(self, card: Card, must: Must) -> Check:
        name = card.name
        if must.gives == "cannot tell":
            none = Number(value=None, refused=must.expected)
            return Check(name=name, text=self.text, expected=must.expected, found=none,
                         holds=True, applies=False)  # fmt: skip
        if must.gives == "the same":
            alike = {card.condition: same} if (same := self._alike(card)) else {}
            found = (
                bars.increase(self.ledger, card.condition, settings=self.settings, alike=alike)
                if must.of == INTACT
                else bars.recovered(self.ledger, card.condition, self._in(must.of),
                                    settings=self.settings, alike=alike)
            )  # fmt: skip
            return Check(name=name, text=self.text, expected=must.expected, found=found,
                         holds=self._same(card.condition, self._in(must.of), must.tolerance))  # fmt: skip
        found = self.recovered(card.name, must.of)
        if found.low is None:
            why = untold(found) or "the interval has no lower end"
            expected = f"nothing recovered, which cannot be told here: {why}"
            return Check(name=name, text=self.text, expected=expected, found=found, holds=True,
                         applies=False)  # fmt: skip
        return Check(name=name, text=self.text, expected=must.expected, found=found,
                     holds=found.low <= 0 or self._little(found, card.of, must.of))  # fmt: skip

    def _little(self, found: Number, claim: str, against: str) -> bool:
        """Whether what a control recovers is for certain under a tenth of what its claim does."""
        if found.high is None or claim not in {card.name for card in self.cards}:
            return False
        low = self.recovered(claim, against).low
        return low is not None and found.high < LITTLE * low

    def _same(self, one: str, other: str, tolerance: float) -> bool:
        """Whether two conditions have the same loss in every document."""
        first, second = self.ledger.sums(one), self.ledger.sums(other)
        apart = np.abs(first.loss - second.loss)
        return bool((apart <= tolerance * first.tokens).all())

    def _alike(self, card: Card) -> str:
        """The condition that an arm is by construction; empty where it is none."""
        must = card.must
        exact = must is not None and must.gives == "the same" and not must.tolerance
        return self._in(must.of) if must is not None and exact else ""

    def _in(self, name: str) -> str:
        """The ledger's name of an arm's total effect; a condition's own name stays."""
        known = {card.name: card.effects for card in self.cards}
        return known.get(name, {}).get("total", name)

    # Kept

    def save(self, path: Path) -> Path:
        """Write `<path>.parquet` and, beside it, cards and settings as `<path>.json`."""
        self.ledger.write(path)
        told = {
            "text": self.text,
            "settings": vars(self.settings),
            "cards": _CARDS.dump_python(list(self.cards), mode="json"),
        }
        there = path.with_name(path.name + ".json")
        return write_whole(there, json.dumps(told, indent=1) + "\n", "reading")

    @classmethod
    def load(cls, path: Path) -> Reading:
        """Read what `save` wrote.

        Raises:
            MeasurementError: It is not there, or not what was written.
        """
        told = read_json(
            path.with_name(path.name + ".json"), f"The reading {path}", MeasurementError
        )
        if not isinstance(told, dict) or not {"text", "settings", "cards"} <= told.keys():
            raise MeasurementError(f"The reading {path}", "it lacks text, settings or cards")
        try:
            cards = _CARDS.validate_python(told["cards"])
            settings, ledger = Settings(**told["settings"]), Ledger.read(path)
        except (TypeError, ValueError, KeyError, OSError) as error:  # pydantic's and Arrow's too
            said = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise MeasurementError(
                f"The reading {path}", f"it is not what was written ({said})", "Measure again."
            ) from None
        return cls(ledger, tuple(cards), settings, str(told["text"]))
