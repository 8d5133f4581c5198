"""Neurons, or directions, under a label, as blocks: how well they tell it, what it carries of what they do, who else tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from unexplained.bars import detection as d
from unexplained.bars.labelled import (
    BESIDE,
    NO,
    REFERENCE,
    SCORES,
    YES,
    Names,
    TokensMeasured,
    of_joint,
    within_label,
)
from unexplained.bars.reading import Reading
from unexplained.record import Number
from unexplained.record.blocks import (
    Answer,
    AnswerRow,
    Column,
    Prose,
    Role,
    Row,
    Section,
    Table,
    fact,
    facts,
)
from unexplained.record.keys import step
from unexplained.shares import stated
from unexplained.stats import FEWEST_DOCUMENTS, Settings


@dataclass(frozen=True)
class LabelFindings:
    """What was measured of a label, and how it is shown."""

    label: str
    says: str
    sites: tuple[str, ...]
    others: tuple[str, ...]
    random: tuple[str, ...]
    """Random directions of the same value, where directions are labelled."""
    directions: str
    """Which these are; empty of neurons."""
    detectors: Mapping[str, d.Detector]
    texts: tuple[TokensMeasured, ...]
    """The narrow one first."""
    names: Names
    references: tuple[str, ...]
    twin: tuple[TokensMeasured, ...]
    """With random weights: its own neurons that go with the label most."""
    twin_read: Reading | None
    """What the label carries of these; None where it has none."""
    prevalence: float
    settings: Settings
    searched: int
    """Neurons of the model."""

    @property
    def narrow(self) -> TokensMeasured:
        """The text on which thresholds and means were fitted."""
        return self.texts[0]

    @property
    def at(self) -> str:
        """The prevalence that precision is for."""
        return stated(self.prevalence)

    def scores(self, on: TokensMeasured, unit: str, detector: d.Detector) -> tuple[Number, ...]:
        """AUROC, precision and recall of a neuron."""
        fires = detector.fires(on.values[unit])
        first = (self.twin if on.detectors else self.texts)[0]
        hits = detector.fires(first.values[unit]), first.tokens
        return (
            d.auroc(detector.sign * on.values[unit], on.tokens, self.settings),
            d.precision(fires, on.tokens, self.prevalence, self.settings, hits=hits),
            d.recall(fires, on.tokens, self.settings),
        )

    def scores_by_kind(self, unit: str) -> tuple[Number, ...]:
        """The same on the narrow text, by the kind of whole documents in the label's place."""
        on, detector = self.narrow, self.detectors[unit]
        fires = detector.fires(on.values[unit])
        return (
            d.auroc(detector.sign * on.values[unit], on.by_kind, self.settings),
            d.precision(fires, on.by_kind, self.prevalence, self.settings),
            d.recall(fires, on.by_kind, self.settings),
        )

    @property
    def unit(self) -> str:
        """What is labelled."""
        return "Direction" if self.directions else "Neuron"

    def _row(self, unit: str, *cells: Number | None) -> Row:
        if unit in self.random:
            note = "random, of the same value"
            return Row(key=unit, name=unit, role="control", note=note, cells=cells)
        notes = (
            "" if unit in self.sites else "also goes with the label",
            self.detectors[unit].turned,
        )
        note = "; ".join(filter(None, notes))
        return Row(key=unit, name=unit, note=note, cells=cells)

    # Blocks

    def answer(self) -> Answer:
        """The neurons on the narrow and the broadest text, and what the label carries of them."""
        texts = list(dict.fromkeys((0, len(self.texts) - 1)))
        columns = [
            Column(key=f"precision-{i}", heading=f"Precision at {self.at}, {self.texts[i].name}", style="share")
            for i in texts
        ]  # fmt: skip
        columns.append(Column(key="damage", heading="Loss when ablated", note="nats per token"))
        cells = {site: [f"scores/scores/{step(site)}/{i}-precision" for i in texts] for site in self.sites}  # fmt: skip
        if home := self.narrow.home:
            columns.insert(
                1, Column(key="kind", heading=f"The same, of {home} documents", style="share")
            )
            for site, mine in cells.items():
                mine.insert(1, f"scores/kind/{step(site)}/precision")
        rows = [
            AnswerRow(name=site, note="; ".join(filter(None, (self.detectors[site].turned, self.falls(site)))),
                      cells=(*mine, f"effects/alone/{step(site)}/damage"))
            for site, mine in cells.items()
        ]  # fmt: skip
        if self.twin:
            best: list[str | None] = [f"scores/twin/1/{i}-precision" for i in texts]
            if home:
                best.insert(1, None)
            rows.append(AnswerRow(name="Best with random weights", role="twin", cells=(*best, None)))  # fmt: skip
        none = (None,) * (len(columns) - 1)
        return Answer(
            corner=self.unit, columns=tuple(columns), rows=tuple(rows),
            beside=(
                AnswerRow(name="Loss when all are ablated", cells=("effects/parts/ablated/cost", *none)),
                *(AnswerRow(name=name, style="share", cells=(f"effects/parts/{key}/recovered", *none)) for key, name in BESIDE.items()),
            ),
            says=f"Precision: of the tokens on which a {self.unit.lower()} is active, the label's, if these were {self.at} of all."
            + (f" Of {home} documents: all of their tokens in the place of those that the label says yes to, which misses some." if home else "")
            + self._borrowed(),
        )  # fmt: skip

    def _borrowed(self) -> str:
        """That a broad text's precision is of the narrow one's recall, where it has too little of the label's own."""
        on = self.texts[-1]
        if on is self.narrow or np.count_nonzero(on.tokens.sums(on.tokens.yes)) >= FEWEST_DOCUMENTS:
            return ""
        return f" On {on.name} too few documents have tokens of the label: precision there is of the recall on {self.narrow.name}."

    def facts(self, model: str) -> Table:
        """What was measured."""
        return facts(
            "facts",
            fact("model", "Model", model),
            fact("label", "Label", self.label, self.says),
            *([fact("directions", "Directions", self.directions, "of length 1; active is what the value has along one")]
              if self.directions else []),
            *(
                row
                for i, on in enumerate(self.texts)
                for row in (
                    fact(f"text-{i}", "Text" if i else "Text, narrow", on.name),
                    fact(f"tokens-{i}", "Tokens scored", int(on.tokens.yes.size)),
                    fact(f"yes-{i}", "Of them the label's", d.share(on.tokens.yes, np.ones_like(on.tokens.yes), on.tokens, self.settings)),
                )
            ),
            fact("searched", "Neurons looked through", self.searched),
        )  # fmt: skip

    def scored(self) -> Section:
        """Every neuron on every text, and those of the twin."""
        groups = [(i, on.name) for i, on in enumerate(self.texts)]
        columns = tuple(
            Column(key=f"{i}-{key}", heading=heading, group=name, style="plain" if key == "auroc" else "share")
            for i, name in groups for key, heading in SCORES
        )  # fmt: skip
        rows = [
            self._row(unit, *(n for on in self.texts for n in self.scores(on, unit, self.detectors[unit])))
            for unit in (*self.sites, *self.others, *self.random)
        ]  # fmt: skip
        blocks: list[Prose | Table] = [
            Prose(words=f"A {self.unit.lower()} is active above a threshold, the one with the greatest F1 at a prevalence of {self.at} on the fit part of {self.narrow.name}. Recall: of the label's tokens, those on which it is active. AUROC: the chance that a token of the label has the greater activation than another. Of one that is lower on the label it is all the other way round: active below, and the lesser. Documents' first tokens are left out. Where fewer than five documents of a broad text have any of the label's tokens, its precision is of the narrow one's recall."),
            Table(key="scores", title="How well they tell the label", corner=self.unit, columns=columns, rows=tuple(rows)),
        ]  # fmt: skip
        if self.twin:
            known = list(self.twin[0].values)
            blocks.append(Table(
                key="twin", title="The same with random weights", corner="Rank", columns=columns,
                caption="The best neurons that the same search finds in a model that learned nothing, on few documents.",
                rows=tuple(
                    Row(key=str(i + 1), name=str(i + 1), role="twin", note=self.twin[0].detectors[unit].turned,
                        cells=tuple(n for on in self.twin for n in self.scores(on, unit, on.detectors[unit])))
                    for i, unit in enumerate(known)
                ),
            ))  # fmt: skip
        else:
            blocks.append(Prose(words="With random weights no neuron goes with the label, on the few documents that it is looked for on: nothing stands beside."))  # fmt: skip
        if home := self.narrow.home:
            blocks.append(Table(
                key="kind", title=f"By {home} documents in the label's place, on {self.narrow.name}", corner=self.unit,
                caption="All tokens of such documents count as the label's: where the label is late or misses, the "
                f"{self.unit.lower()} is not to blame.",
                columns=tuple(Column(key=key, heading=heading, style="plain" if key == "auroc" else "share") for key, heading in SCORES),
                rows=tuple(self._row(unit, *self.scores_by_kind(unit)) for unit in (*self.sites, *self.others, *self.random)),
            ))  # fmt: skip
        blocks.append(self._variance())
        return Section(key="scores", title="Detector", blocks=tuple(blocks))

    def _variance(self) -> Table:
        columns = tuple(
            Column(key=f"{i}-{key}", heading=heading, group=on.name, style="share")
            for i, on in enumerate(self.texts)
            for key, heading in (("explained", "Explained"), ("within", "Within the label"))
        )
        return Table(
            key="variance", title="Variance of the activation", corner=self.unit, columns=columns,
            caption="Explained: by what the label says, with a line fitted on the fit part (of yes and no: their means). Within the label: what varies among its own tokens beside that.",
            rows=tuple(
                Row(key=site, name=site, cells=tuple(
                    of(on.values[site], self.detectors[site], on.tokens, self.settings)
                    for on in self.texts for of in (d.explained, d.within)
                ))
                for site in self.sites
            ),
        )  # fmt: skip

    def effects(self) -> Section:
        """What the label carries of what the neurons do."""
        blocks: list[Prose | Table] = [
            Prose(words="A detector of the label need not do what the label says. The label's prediction (of yes and no the mean activation where it says each, of a number a line through activations over it) stands in their place; then only what it leaves is kept; then it is kept and what varies within or outside the label is put back. Recovered: of what mean ablation costs."),
        ]  # fmt: skip
        for i, on in enumerate(self.texts):
            suffix = f"-{i}" if i else ""
            blocks += [
                self._parts(on, f"parts{suffix}"),
                self._alone(on, f"alone{suffix}"),
                self._references(on, f"references{suffix}"),
            ]
        return Section(key="effects", title="Function", blocks=tuple(blocks))

    def _parts(self, on: TokensMeasured, key: str) -> Table:
        read = on.measured
        rows: list[tuple[str, str, Role, str, Reading]] = [
            ("ablated", "all ablated", "ablation", REFERENCE, read),
            ("label", "the label's prediction", "fitted", self.names.claim, read),
            *((kept, name, "fitted", name, read) for kept, name in self.names.kept.items()),
        ]
        twin = self.twin_read if on is self.narrow else None  # on few documents
        if twin is not None:
            rows += [
                ("twin-ablated", "all ablated, random weights", "twin", REFERENCE, twin),
                ("twin-label", "the label's prediction, random weights", "twin", self.names.claim, twin),
            ]  # fmt: skip
        return Table(
            key=key, title=f"All together, on {on.name}", corner="In their place",
            columns=(
                Column(key="cost", heading="Loss over intact", note="nats per token"),
                Column(key="yes", heading="On the label's tokens", note="nats per token"),
                Column(key="no", heading="On others", note="nats per token"),
                Column(key="recovered", heading="Recovered", style="share"),
                Column(key="recovered-yes", heading="On the label's tokens", style="share"),
            ),
            rows=tuple(
                Row(key=k, name=name, role=role, cells=(
                    of.increase(arm), within_label(of, arm, YES), within_label(of, arm, NO),
                    None if arm == REFERENCE else of.recovered(arm, REFERENCE),
                    None if arm == REFERENCE else within_label(of, arm, YES, REFERENCE),
                ))
                for k, name, role, arm, of in rows
            ),
        )  # fmt: skip

    def _alone(self, on: TokensMeasured, key: str) -> Table:
        read = on.measured
        return Table(
            key=key, title=f"Each alone, on {on.name}", corner=self.unit,
            columns=(
                Column(key="damage", heading="Loss when ablated", note="nats per token"),
                Column(key="yes", heading="On the label's tokens", note="nats per token"),
                Column(key="recovered", heading="The label recovers", style="share"),
            ),
            rows=tuple(
                self._row(
                    site,
                    read.increase(self.names.alone[site]),
                    within_label(read, self.names.alone[site], YES),
                    None if site in self.random else read.recovered(self.names.claims[site], self.names.alone[site]),
                )
                for site in (*self.sites, *self.random)
            ),
        )  # fmt: skip

    def _references(self, on: TokensMeasured, key: str) -> Table:
        read = on.measured
        return Table(
            key=key, title=f"By what they are put at, on {on.name}", corner="Put at",
            caption="Means of several texts: what counts as saying nothing is a choice. Beside each what the same label then recovers.",
            columns=(
                Column(key="damage", heading="Loss when ablated", note="nats per token"),
                Column(key="yes", heading="On the label's tokens", note="nats per token"),
                Column(key="no", heading="On others", note="nats per token"),
                Column(key="recovered", heading="The label recovers", style="share"),
            ),
            rows=tuple(
                Row(key=name, name="the mean here" if name == REFERENCE else name, cells=(
                    read.increase(name), within_label(read, name, YES), within_label(read, name, NO),
                    read.recovered(self.names.claim, name),
                ))
                for name in self.references
                if name != f"mean of {on.name}"
            ),
        )  # fmt: skip

    def alike(self) -> Section | None:
        """Neurons under one label: what each does that no other does, and all together."""
        units = (*self.sites, *self.others)
        if len(units) < 2:
            return None
        read, names = self.narrow.measured, self.names
        joint = read.increase(names.everyone)
        table = Table(
            key="units", title=f"One by one and together, on {self.narrow.name}", corner="Unit" if self.directions else "Neuron",
            caption="Unique: what ablating it alone costs, all others in place. Last: what it saves where all others are ablated. Duplicates have little of the first and much of the last.",
            columns=(
                Column(key="unique", heading="Unique", note="nats per token"),
                Column(key="share", heading="Of all together", style="share"),
                Column(key="last", heading="Last", note="nats per token"),
            ),
            rows=tuple(
                self._row(
                    unit,
                    read.increase(names.alone[unit]),
                    of_joint(read, names, [unit], self.settings),
                    read.increase(names.everyone, over=names.without[unit]),
                )
                for unit in units
            ),
        )  # fmt: skip
        return Section(
            key="alike", title="Others under the same label",
            blocks=(
                facts("together",
                      fact("joint", "All ablated together", joint, f"{len(units)} of them; nats per token"),
                      fact("unique", "Sum of unique effects", of_joint(read, names, units, self.settings), "as a share of it: below 1 they stand in for each other")),
                table,
            ),
        )  # fmt: skip

    def misses(self) -> Section:
        """Where the label says no: which kinds of text set the neurons off all the same; and near misses."""
        blocks: list[Prose | Table] = [
            Prose(words="Of every kind of document, and of what a second label says yes to, how often the label says yes and how often each of them is active. Where a kind is a near miss, such as a neighbouring language, a specific label and what it is a label of are silent; of a second label that is where the first says no.")
        ]  # fmt: skip
        for i, on in enumerate(self.texts):
            kinds = {kind: on.domain == kind for kind in dict.fromkeys(on.domain.tolist())}
            near = {f"label {name}": yes for name, yes in on.near.items()}
            blocks.append(self._kinds(on, f"kinds-{i}", {**kinds, **near}))
        return Section(key="misses", title="Near misses", blocks=tuple(blocks))

    def _kinds(self, on: TokensMeasured, key: str, kinds: Mapping[str, d.Bools]) -> Table:
        fires = {site: self.detectors[site].fires(on.values[site]) for site in self.sites}
        columns = [Column(key="tokens", heading="Tokens"), Column(key="label", heading="Label says yes", style="share")]  # fmt: skip
        columns += [Column(key=site, heading=site, group="Active", style="share") for site in self.sites]  # fmt: skip
        columns += [Column(key=f"{site}-agrees", heading=site, group="Agrees with the label", style="share") for site in self.sites]  # fmt: skip
        share = self.settings
        return Table(
            key=key, title=f"By kind of text, on {on.name}", corner="Kind", columns=tuple(columns),
            rows=tuple(
                Row(key=kind, name=kind, cells=(
                    int(here.sum()), d.share(on.tokens.yes, here, on.tokens, share),
                    *(d.share(fires[s], here, on.tokens, share) for s in self.sites),
                    *(d.share(fires[s] == on.tokens.yes, here, on.tokens, share) for s in self.sites),
                ))
                for kind, here in kinds.items()
            ),
        )  # fmt: skip

    def falls(self, site: str) -> str:
        """That a neuron tells the label worse on the broadest text than on the narrow one, if it does."""
        first, last = (
            self.scores(on, site, self.detectors[site]) for on in (self.narrow, self.texts[-1])
        )
        names = [heading for _, heading in SCORES]
        told = [
            name for name, here, there in zip(names, first, last, strict=True)
            if name != "Recall" and here.low is not None and there.high is not None and there.high < here.low
        ]  # fmt: skip
        return f"falls on {self.texts[-1].name}: {', '.join(told)}" if told else ""
