"""A panel of ablations as blocks: what each costs, how far it throws the model off, and what turns round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Literal

import numpy as np

from unexplained.bars.flips import EXPLANATIONS, Flip, apart
from unexplained.bars.reading import Reading
from unexplained.bars.recovered import ROUNDING
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
from unexplained.stats import Settings, fraction, mean_per_token

HELD: Literal["total, norms frozen"] = "total, norms frozen"
PUBLISHED = {"zero": 0.111, "mean": 0.330, "resample": 0.177}
"""Median over the components of GPT-2 on IOI of the optimal constant's damage over another's
(Li and Janson 2024)."""
OPTIMAL = "optimal constant"
TAILS = (0.01, 0.99)


@dataclass(frozen=True)
class Panel:
    """What was measured of a panel, and how it is shown."""

    read: Reading
    ablated: Mapping[str, Mapping[str, str]]
    """Ablation → component, or all together → arm."""
    claimed: Mapping[str, Mapping[str, str]]
    """Claim → component, or all together → arm."""
    groups: tuple[str, ...]
    """Components, then all together where there are several."""
    single: tuple[str, ...]
    filled: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Ablation → explanation → arm of all components, what it leaves out filled by the ablation."""

    def under(self, name: str, held: bool) -> str:
        """The condition of an arm with the norms free or held."""
        return self.read.card(name).effects[HELD if held else "total"]

    def conditions(self, *, held: bool) -> dict[str, dict[str, str]]:
        """Ablation → single component → condition."""
        return {
            kind: {site: self.under(arms[site], held) for site in self.single}
            for kind, arms in self.ablated.items()
        }

    def fills(self, *, held: bool) -> dict[str, dict[str, str]]:
        """Ablation → explanation whose rest it fills → condition."""
        return {
            kind: {claim: self.under(name, held) for claim, name in arms.items()}
            for kind, arms in self.filled.items()
        }

    def _damage(self, kind: str, group: str, held: bool = False) -> Number:
        return self.read.damage(self.under(self.ablated[kind][group], held))

    @property
    def _columns(self) -> list[Column]:
        return [Column(key=kind, heading=kind.capitalize()) for kind in self.ablated]

    def answer(self, says: str = "") -> Answer:
        """What three of the ablations cost at every component, how far the panel is apart; what is claimed."""
        kinds = ("zero", "mean", OPTIMAL)
        rows = [
            AnswerRow(
                name=group, role="" if group in self.single else "ablation",
                cells=(*(f"damage/free/{step(group)}/{kind}" for kind in kinds),
                       f"damage/apart/{step(group)}/apart"),
            )
            for group in self.groups
        ]  # fmt: skip
        return Answer(
            corner="Ablated",
            columns=(
                *(Column(key=kind, heading=kind.capitalize()) for kind in kinds),
                Column(key="apart", heading="Panel apart"),
            ),
            rows=tuple(rows[:12]),
            says="Nats per token that each costs. Apart: the most less the least of "
            f"{len(self.ablated)} ablations. {says}".strip(),
        )

    def facts(self, model: str, text: str, floor: float, double: float | str) -> Table:
        """What was measured, and below what a number is rounding."""
        return facts(
            "facts",
            fact("model", "Model", model),
            fact("text", "Text", text),
            fact("tokens", "Predictions that are scored", int(self.read.ledger.sums("intact").tokens.sum())),
            fact("floor", "Noise floor", floor,
                 "nats per token: the most that a damage moved with batches of another size"),
            fact("double", "Against float64", double,
                 "nats per token: the most that a damage differed from the same in float64, norms apart"),
        )  # fmt: skip

    def damage(self) -> Section:
        """What every ablation costs, with the norms free and held."""

        def table(held: bool) -> Table:
            return Table(
                key="held" if held else "free",
                title="Norms held" if held else "Norms free",
                caption="Every norm keeps the scale that it has in the intact model. Those scales were "
                "made with the component there, so a little of it leaks. The optimal constant was fitted with free norms." * held,
                corner="Ablated",
                columns=tuple(self._columns),
                rows=tuple(
                    Row(key=group, name=group,
                        cells=tuple(self._damage(kind, group, held) for kind in self.ablated))
                    for group in self.groups
                ),
            )  # fmt: skip

        apart = Table(
            key="apart",
            title="How far the panel is apart",
            caption="The most that an ablation costs less the least, over the panel. Whichever two they are: the "
            "intervals of all differences hold together.",
            corner="Ablated",
            columns=(
                Column(key="apart", heading="Apart"),
                Column(key="least", heading="Least here", words=True),
                Column(key="most", heading="Most here", words=True),
                Column(key="held", heading="Apart, norms held"),
            ),
            rows=tuple(self._apart(group) for group in self.groups),
        )
        words = (
            "Loss under the ablation less the intact model's, in nats per token. The first position is "
            "kept. The optimal constant is fitted on the fit part; noise and donors are one draw."
        )
        return Section(
            key="damage",
            title="What every ablation costs",
            blocks=(Prose(words=words), table(False), table(True), apart),
        )

    def _apart(self, group: str) -> Row:
        free, held = (self._between(group, held=one) for one in (False, True))
        if free.value is None:
            return Row(key=group, name=group, cells=(free, None, None, held))
        costs = {kind: self._damage(kind, group).value or 0.0 for kind in self.ablated}
        least, most = min(costs, key=costs.__getitem__), max(costs, key=costs.__getitem__)
        cells = (free, least, most, held)
        return Row(key=group, name=group, cells=cells)

    def _between(self, group: str, *, held: bool) -> Number:
        """How far apart the panel is at some components."""
        conditions = [self.under(arms[group], held) for arms in self.ablated.values()]
        return apart(self.read.ledger, conditions, self.read.settings)

    def optimal(self) -> Section:
        """The optimal constant's damage over the others', beside what was published."""
        rows = []
        for kind, published in PUBLISHED.items():
            shares = [self._share(kind, site) for site in self.single]
            told = [one.value for one in shares if one.value is not None]
            ours: Number | float = (
                median(told)
                if told
                else Number(
                    value=None, refused=f"at no component does {kind} ablation cost more than noise"
                )
            )
            rows.append(
                Row(key=kind, name=f"of {kind}'s", cells=(ours, len(told), published, *shares))
            )
        return Section(
            key="optimal",
            title="What no constant can give",
            blocks=(
                Prose(
                    words="The optimal constant's damage over another ablation's: the rest of that was a "
                    "wrong constant, or wrong information. Median over the components whose denominator "
                    "is told from 0. Published: of all components of GPT-2 on IOI, in KL divergence (Li and Janson 2024)."
                ),
                Table(
                    key="ratios",
                    corner="Share",
                    columns=(
                        Column(key="ours", heading="Median here", style="share"),
                        Column(key="of", heading="Components"),
                        Column(key="published", heading="Published", style="share"),
                        *(Column(key=site, heading=site, style="share") for site in self.single),
                    ),
                    rows=tuple(rows),
                ),
            ),
        )

    def _helped(self) -> list[str]:
        """Components at which the optimal constant is for certain better than the component."""
        ends = {site: self._damage(OPTIMAL, site).high for site in self.single}
        return [site for site, high in ends.items() if high is not None and high < 0]

    def _share(self, kind: str, site: str) -> Number:
        ledger = self.read.ledger
        best, other, intact = (
            ledger.sums(name)
            for name in (self.under(self.ablated[OPTIMAL][site], False),
                         self.under(self.ablated[kind][site], False), "intact")
        )  # fmt: skip
        return fraction(
            best.loss - intact.loss, other.loss - intact.loss, intact.tokens,
            what=f"damage of {kind} ablation", settings=self.read.settings, floor=ROUNDING,
            if_negative="the ablation lowers the loss",
        )  # fmt: skip

    def flips(self, flips: Mapping[str, Sequence[Flip]]) -> Section:
        """Orders that turn round."""
        rows = [
            Row(key=f"{claim or 'damage'} {one.first} {one.second}", name=f"{one.first}, {one.second}",
                cells=(claim or "damage", one.one, one.other))
            for claim, some in flips.items()
            for one in some
        ]  # fmt: skip
        words = (
            "Of every two components, which does more damage, and where a claim recovers more, under "
            "every ablation, the norms free and held. An order has turned round where both orders are "
            "told from a tie, corrected for all that were asked (Bonferroni). "
        )
        if self.filled:
            words += (
                "Explanations of the same components are ordered by their loss, what each leaves out filled "
                "by each of the ablations, zero leaving it as it is: otherwise none could turn their order round. "
            )
        asked = len(self.single) > 1 or bool(self.filled)
        words += (
            f"{len(rows)} of them turn round." if rows else "None does."
        ) if asked else "There is one component, and so no order."  # fmt: skip
        table = Table(
            key="turned",
            corner="First, second",
            columns=(
                Column(key="what", heading="By", words=True),
                Column(key="one", heading="First is more under", words=True),
                Column(key="other", heading="Second is more under", words=True),
            ),
            rows=tuple(rows),
        )
        return Section(
            key="flips",
            title="Does an order turn round?",
            blocks=(Prose(words=words), table) if rows else (Prose(words=words),),
        )

    def claims(self) -> Section:
        """What every claim recovers under every ablation, the norms free and held in both alike."""
        tables = []
        for claim, arms in self.claimed.items():
            for held in (False, True):
                tables.append(
                    Table(
                        key=f"{claim}, {'held' if held else 'free'}",
                        title=f"{claim}, norms {'held' if held else 'free'}",
                        corner="At",
                        columns=tuple(
                            one.model_copy(update={"style": "share"}) for one in self._columns
                        ),
                        rows=tuple(
                            Row(key=group, name=group, cells=tuple(
                                self.read.recovered(self.under(arms[group], held),
                                                    self.under(self.ablated[kind][group], held))
                                for kind in self.ablated))
                            for group in self.groups
                        ),
                    )
                )  # fmt: skip
        words = (
            "Share of the damage that the claim undoes. It stands there with its own fill; the ablation "
            "under test is what it is held against."
        )
        return Section(
            key="claims",
            title="What is recovered, by ablation",
            blocks=(Prose(words=words), *tables),
        )

    def drift(self, moved: Mapping[str, Any], settings: Settings) -> Section:
        """How far the stream goes from where later parts are used to it."""
        rows = []
        for kind, one in moved.items():
            cells: list[Number | float] = []
            for documents in (one.stream, one.scale):
                counts = np.array([len(row) for row in documents])
                sums = np.array([row.sum() for row in documents])
                low, high = np.quantile(np.concatenate(documents), TAILS)
                cells += [
                    mean_per_token(sums, counts, settings=settings, unit="of the intact"),
                    float(low),
                    float(high),
                ]
            rows.append(Row(key=kind, name=kind.capitalize(), cells=tuple(cells)))
        groups = (("stream", "Length of the stream"), ("scale", "Scale of the final norm"))
        columns = [
            Column(key=f"{key}-{part}", heading=heading, group=group, style="signed")
            for key, group in groups
            for part, heading in (("mean", "Mean"), ("low", "1%"), ("high", "99%"))
        ]
        words = (
            "Edited over intact, less 1, token by token, all components ablated: the stream after the last "
            f"of them, and what the final norm multiplies by. On {len(next(iter(moved.values())).stream)} documents, "
            "the first position left out."
        )
        table = Table(
            key="moved", corner="Ablation", columns=tuple(columns), rows=tuple(rows), folded=False
        )
        return Section(
            key="drift",
            title="How far it throws the stream off",
            blocks=(Prose(words=words), table),
        )

    def _fills(self) -> str:
        """What an ablation does where explanations of the same components are ordered."""
        if len(self.single) > 1 or not self.filled:
            return ""
        return " that fills what they leave out"

    def verdict(self, flips: Mapping[str, Sequence[Flip]], floor: float) -> str:
        """In plain words: how far apart, what holding norms does to that, and whether an order turns round."""
        group, first = self.groups[-1], next(iter(self.ablated))
        what = group if len(self.single) == 1 else f"the {len(self.single)} components together"
        between, held = (self._between(group, held=one) for one in (False, True))
        if why := untold(between):
            return f"What ablating {what} costs is refused: {why}."
        said = (
            f"Ablating {what} costs {self._told(first, group)} nats per token under {first} ablation; the costliest of "
            f"{len(self.ablated)} ablations is {fmt.written(between, spec='.2g')} above the least costly, "
            f"{fmt.written(held, spec='.2g')} with the norms held"
        )
        if (between.value or 0.0) <= floor:
            said += ", which is within rounding"
        elif not between.above_zero:
            said += ": no two of them are told apart"
        if below := self._helped():
            said += (
                f". At {', '.join(below)} the optimal constant lowers the loss below the intact model's: it says "
                "something that helps on this text, so it bounds the damage from below"
            )
        turned = [(by, one) for by, some in flips.items() for one in some]
        if len(self.single) < 2 and not self.filled:
            return said + "."
        what = "order of components" if len(self.single) > 1 else "order of explanations"
        if not turned:
            return (
                f"{said}. No {what} turns round: where one is told from a tie, it is the same under each "
                f"ablation{self._fills()} that tells it."
            )
        by, one = turned[0]
        more = "loses more" if by == EXPLANATIONS else "is more"
        return (
            f"{said}. {len(turned)} order{'s' * (len(turned) > 1)} turn{'s' * (len(turned) == 1)} round with the "
            f"ablation: {one.first} {more} than {one.second} under {one.one} and less under {one.other}."
        )

    def _told(self, kind: str, group: str) -> str:
        return fmt.written(self._damage(kind, group), spec=".2g")
