"""Bars as blocks: conditions against every baseline and every weaker model. No bar is a pass mark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unexplained.record import Bars, Number
from unexplained.record import format as fmt
from unexplained.record.bars import BaselineBar, Comparison, RungBar, Standing
from unexplained.record.blocks import Block, Column, Prose, Row, Section, Table

ALL = ("all", "all")
"""Partition and label of all tokens together."""
STANDINGS: dict[Standing, str] = {
    "beats": "lower loss",
    "ties": "not told apart",
    "loses": "higher loss",
    "unknown": "no interval",
}
"""A condition's loss beside a weaker model's, in words."""


@dataclass(frozen=True)
class Group:
    """The bars of all conditions on some of the tokens."""

    partition: str
    label: str
    tokens: int
    bars: tuple[Bars, ...]

    @property
    def unit(self) -> str:
        """Of all losses."""
        return self.bars[0].loss.unit

    @property
    def baselines(self) -> tuple[str, ...]:
        """The baselines of any condition, in order of appearance."""
        return tuple(dict.fromkeys(one.baseline for bars in self.bars for one in bars.baselines))

    @property
    def rungs(self) -> tuple[RungBar, ...]:
        """The weaker models, weakest first; loss, gap and r are theirs, whatever the condition."""
        found: dict[str, RungBar] = {}
        for bars in self.bars:
            for one in bars.rungs:
                found.setdefault(one.rung, one)
        return tuple(found.values())

    def damage(self, baseline: str) -> Number | None:
        """What a baseline costs: the denominator of its column."""
        every = (one for bars in self.bars for one in bars.baselines)
        return next((one.damage for one in every if one.baseline == baseline), None)


def groups(bars: Sequence[Bars]) -> tuple[Group, ...]:
    """Bars by the tokens that they are taken on, all tokens first."""
    found: dict[tuple[str, str], list[Bars]] = {}
    for one in bars:
        found.setdefault((one.partition, one.label), []).append(one)
    ordered = sorted(found.items(), key=lambda item: item[0] != ALL)
    return tuple(Group(*key, some[0].tokens, tuple(some)) for key, some in ordered)


def standing(bars: Sequence[Bars]) -> Section:
    """The section of bars.

    Returns:
        A section with the key `bars`: for all tokens, and folded for every other cut of them, the
        fraction recovered against each baseline, the gap score against each weaker model, and the
        distance to each bar.
    """
    blocks: list[Block] = [
        Prose(
            words="“How much is explained” depends on what it is held against: the worse the "
            "baseline, the higher the fraction recovered, also of a model that is merely weaker. "
            "The gap score asks what is left of the lead over a weaker model: 100% is as good as "
            "the intact model, 0% as good as the weaker one, below 0% worse than it. No bar is a "
            "pass mark."
        )
    ]
    for group in groups(bars):
        whole = (group.partition, group.label) == ALL
        tables = (_recovered(group), _denominators(group), *_scores(group), *_distances(group))
        blocks.append(
            Section(
                key=f"{group.partition} {group.label}",
                title="All tokens" if whole
                else f"{group.partition}: {group.label}, {fmt.count(group.tokens)} tokens",
                folded=not whole,
                blocks=tables,
            )
        )  # fmt: skip
    title = "Bars against baselines and weaker models"
    return Section(key="bars", title=title, blocks=tuple(blocks))


def _recovered(group: Group) -> Table:
    among = (
        " Rows of weaker models have their own r, which is what an explanation's fraction would "
    )
    among += "have to be to do as well." + _levels(group)
    columns = [Column(key="loss", heading="Loss")]
    if group.rungs:
        columns.append(Column(key="place", heading="Place among weaker models", words=True))
    columns += [Column(key=name, heading=name, group="Recovered against", style="share")
                for name in group.baselines]  # fmt: skip
    return Table(
        key="recovered",
        caption=f"Highest loss first; losses and damages in {group.unit}."
        + among * bool(group.rungs),
        corner="Condition",
        columns=tuple(columns),
        rows=tuple(_lines(group)),
    )


def _levels(group: Group) -> str:
    places = [bars.place for bars in group.bars if bars.place]
    if not places:
        return ""
    together = fmt.tick(places[0].level, share=True)
    each = fmt.tick(round(places[0].each, 4), share=True)
    return (
        f" Place: paired on the same tokens, at {together} for all comparisons of a condition together "
        f"({each} each)."
    )


def _lines(group: Group) -> list[Row]:
    """Conditions and weaker models together, the highest loss first."""
    rows: list[tuple[Number, bool, Row]] = []
    for rung in group.rungs:
        cells = (rung.loss, fmt.MISSING, *(rung.share.get(name) for name in group.baselines))
        row = Row(
            key=f"weaker {rung.rung}",
            name=rung.rung,
            note="weaker model: r",
            role="weaker",
            cells=cells,
        )
        rows.append((rung.loss, False, row))
    rungs = {rung.rung for rung in group.rungs}
    for bars in group.bars:
        if bars.condition in rungs:  # it stands there as a weaker model
            continue
        known = {one.baseline: one.recovered for one in bars.baselines}
        place = (bars.place.place if bars.place else fmt.MISSING,) * bool(group.rungs)
        cells = (bars.loss, *place, *(known.get(name) for name in group.baselines))
        rows.append((bars.loss, True, Row(key=bars.condition, name=bars.condition, cells=cells)))
    rows.sort(key=lambda x: (x[0].value is None, -(x[0].value or 0.0), x[1]))
    return [row for _, _, row in rows]


def _scores(group: Group) -> list[Table]:
    if not group.rungs:
        return []
    columns = []
    for rung in group.rungs:
        columns.append(
            Column(key=rung.rung, heading=rung.rung, group="Gap score against", style="share")
        )
        columns.append(Column(key=f"{rung.rung} beside", heading="its loss beside", words=True))
    rows = []
    for bars in group.bars:
        scores = {one.rung: one.score for one in bars.rungs}
        cells: list[Number | str | None] = []
        for rung in group.rungs:
            beside = _beside(bars, rung.rung)
            cells += [scores.get(rung.rung), STANDINGS[beside.standing] if beside else fmt.MISSING]
        rows.append(Row(key=bars.condition, name=bars.condition, cells=tuple(cells)))
    caption = (
        "(Loss of the weaker model − loss of the condition) ÷ (its loss − loss of the intact model). In "
        "words: the condition's loss beside the weaker model's, paired by document."
    )
    table = Table(
        key="scores",
        title="Gap scores",
        caption=caption,
        corner="Condition",
        columns=tuple(columns),
        rows=tuple(rows),
        folded=True,
    )
    return [table, *_differences(group)]


def _denominators(group: Group) -> Table:
    """What every share of this group is divided by."""
    costs = [Row(key=name, name=name, note="damage: its loss minus the intact model's",
                 role="ablation", cells=(group.damage(name),)) for name in group.baselines]  # fmt: skip
    gaps = [Row(key=f"weaker {rung.rung}", name=rung.rung, note="gap to the intact model",
                role="weaker", cells=(rung.gap,)) for rung in group.rungs]  # fmt: skip
    return Table(
        key="denominators",
        title="Denominators",
        caption="What the fractions and the gap scores are divided by.",
        corner="Against",
        columns=(Column(key="nats", heading=f"{group.unit[:1].upper()}{group.unit[1:]}"),),
        rows=(*costs, *gaps),
        folded=True,
    )


def _beside(bars: Bars, rung: str) -> Comparison | None:
    every = bars.place.comparisons if bars.place else ()
    return next((one for one in every if one.rung == rung), None)


def _differences(group: Group) -> list[Table]:
    """The condition's loss minus each weaker model's, where they were compared."""
    names = [rung.rung for rung in group.rungs]
    found = [(bars, [_beside(bars, name) for name in names]) for bars in group.bars]
    if not any(any(beside) for _, beside in found):
        return []
    return [
        Table(
            key="differences",
            title="Loss minus the weaker model's",
            caption=f"In {group.unit}, paired by document." + _levels(group),
            corner="Condition",
            columns=tuple(Column(key=name, heading=name) for name in names),
            rows=tuple(
                Row(key=bars.condition, name=bars.condition,
                    cells=tuple(one.difference if one else None for one in beside))
                for bars, beside in found
            ),
            folded=True,
        )
    ]  # fmt: skip


def _distances(group: Group) -> list[Table]:
    every = [one for bars in group.bars for one in bars.baselines]
    levels = sorted({float(name) for one in every for name in one.distances})
    if not levels:
        return []
    columns = [
        Column(key=f"{bar:g}", heading=fmt.tick(bar, share=True), style="points") for bar in levels
    ]
    return [
        Table(
            key="distances",
            title="Distance to each bar, by baseline",
            caption="Fraction recovered minus the bar, in percentage points, and its nines.",
            corner="Condition",
            columns=(*columns, Column(key="nines", heading="Nines")),
            rows=tuple(
                Row(
                    key=f"{bars.condition} against {one.baseline}",
                    name=bars.condition,
                    note=f"against {one.baseline}",
                    cells=(*(_distance(one, bar) for bar in levels), one.nines),
                )
                for bars in group.bars
                for one in bars.baselines
            ),
            folded=True,
        )
    ]


def _distance(one: BaselineBar, bar: float) -> Number | None:
    """The distance to a bar, however the bar was written."""
    return next((number for name, number in one.distances.items() if float(name) == bar), None)
