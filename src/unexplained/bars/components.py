"""What every component does alone, as it is shown: by layer, the strongest first, all by size."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from unexplained.bars.effects import RATE, Effect, Swept
from unexplained.bars.joints import without
from unexplained.bars.scales import answered
from unexplained.record import format as fmt
from unexplained.record.blocks import (
    Answer,
    AnswerRow,
    Block,
    Cell,
    Column,
    Forest,
    Grid,
    GridRow,
    Prose,
    Row,
    Section,
    Table,
    Track,
)
from unexplained.record.keys import step

SHOWN = 10
"""How many the answer names."""
STRONGEST = 20
"""How many are drawn and listed at first."""
WIDEST = 64
"""Columns beyond which components are no grid."""
MEASURED = {
    "all documents": "all documents",
    "control variate": "some documents, the rest by attribution",
    "chosen on": "only where a race chose",
    "fresh documents": "documents that did not choose",
}
Beside = Mapping[str, Effect]
"""By component, what it does with random weights."""


def alone(found: Swept, beside: Swept | None, done: str, units: str, level: float) -> Section:
    """A section of them.

    Args:
        found: What was measured.
        beside: The same with random weights.
        done: What is done to a component: `ablated`.
        units: What documents are called.
        level: Of the intervals.
    """
    on_twin = {} if beside is None else {effect.site: effect for effect in beside.effects}
    table = _effects(found, on_twin, level)
    what, names = _columns(found)
    together = found.together is not None and bool(found.together.joints)
    below = f": what they do on {units} that did not choose them is below" * together
    says = Prose(
        words=f"Change of the {found.measure.name} when this one alone is {done}. The strongest, by "
        f"size either way, are the largest of {len(found.effects):,} on these {units}, so that their "
        f"sizes flatter them{below}. Ranks: those not ruled out for it, all held at once."
    )
    shown: list[Block] = [_grid(found, table, names)] if names else []
    shown += [_strongest(found, table, on_twin), table, _more(found, on_twin)]
    return Section(key="alone", title=f"Every {what}", blocks=(says, *shown))


def answer(found: Swept, twin: Swept | None, what: str) -> Answer:
    """The strongest components, beside the same with random weights.

    Args:
        found: Every component's effect.
        twin: The same of a model with random weights, if it was measured.
        what: What the measure is called, of the intact model.
    """
    beside = set() if twin is None else {effect.site for effect in twin.effects}
    shared = any(effect.share is not None for effect in found.effects)
    columns = [
        Column(key="change", heading=f"Change of the {found.measure.name}", note=found.measure.unit)
    ]
    columns += [Column(key="share", heading="Share of the corruption's", style="share")] * shared
    columns += [Column(key="twin", heading="With random weights")] * bool(beside) * (not shared)

    def cells(effect: Effect) -> tuple[str | None, ...]:
        there = {"change": True, "share": effect.share is not None, "twin": effect.site in beside}
        home = f"alone/effects/{step(effect.site)}"
        return tuple(f"{home}/{c.key}" if there[c.key] else None for c in columns)

    none = (None,) * (len(columns) - 1)
    both = found.together
    scale, last = (both.scale, both.joints[-1:]) if both else (None, ())
    return Answer(
        corner="Component",
        columns=tuple(columns),
        rows=tuple(
            AnswerRow(name=effect.site, note=_told(effect),
                      role="ablation" if effect.told else "baseline", cells=cells(effect))
            for effect in found.strongest[:SHOWN]
        ),
        beside=(
            AnswerRow(name=what, cells=("facts/intact/is", *none)),
            *[AnswerRow(name="On the corrupted prompts", cells=("facts/corrupted/is", *none))]
            * (found.corrupted is not None),
            *(row for one in last
              for row in answered(scale, without(len(one.sites)), len(columns))),
        ),
        picture="alone/strongest",
        says="q: the share of chance findings among all components with a q as small or smaller."
        + " Rank: the places that are not ruled out." * any(e.ranks for e in found.strongest[:SHOWN]),
    )  # fmt: skip


def _place(site: str) -> tuple[int, str]:
    """Layer and name of a component; of one that is none of a layer its name alone."""
    match = re.fullmatch(r"L(\d+)\.(\w+)", site)
    return (int(match[1]), match[2]) if match else (-1, site)


def _columns(found: Swept) -> tuple[str, tuple[str, ...]]:
    """What components are, and their names within a layer; none where they make no grid."""
    places = [_place(effect.site) for effect in found.effects]

    def order(name: str) -> tuple[str, int]:
        digits = re.sub(r"\D", "", name)
        return re.sub(r"\d", "", name), int(digits) if digits else -1

    names = tuple(sorted({name for _, name in places}, key=order))
    what = "head" if all(re.fullmatch(r"H\d+", name) for name in names) else "component"
    whole = all(layer >= 0 for layer, _ in places) and len(names) <= WIDEST
    return what, names if whole else ()


def _grid(found: Swept, table: Table, names: tuple[str, ...]) -> Grid:
    cells = {_place(effect.site): table.at(effect.site, "change") for effect in found.effects}
    tested = len(found.tested)
    over = f"all {tested}" if tested == len(found.effects) else (
        f"{tested}, those that a race kept or sampled"
    )  # fmt: skip
    return Grid(
        key="grid",
        caption="Told from zero: at a false discovery rate of "
        f"{fmt.tick(RATE, share=True)} over {over}.",
        corner="Layer",
        columns=names,
        rows=tuple(
            GridRow(name=str(layer), cells=tuple(cells.get((layer, name)) for name in names))
            for layer in sorted({layer for layer, _ in cells})
        ),
        framed=tuple(table.at(effect.site, "change") for effect in found.effects if effect.told),
    )


def _strongest(found: Swept, table: Table, on_twin: Beside) -> Forest:
    return Forest(
        key="strongest",
        title="The strongest",
        share=False,
        caption="An upright stroke: the same with random weights." if on_twin else "",
        tracks=tuple(
            Track(
                name=effect.site,
                note=_told(effect),
                role="ablation" if effect.told else "baseline",
                marks=(table.at(effect.site, "change"),),
                others=(table.at(effect.site, "twin"),) if effect.site in on_twin else (),
            )
            for effect in found.strongest[:STRONGEST]
        ),
    )


def _told(effect: Effect) -> str:
    """Whether it is told from zero, and by what."""
    if effect.q is None:
        return "let go by the race: measured only where it was chosen"
    ranks = f"; rank {_ranks(effect)}" if effect.ranks else ""
    q = fmt.chance(effect.q)
    equals = "" if q.startswith("<") else "= "
    return f"q {equals}{q}" + ", within noise of zero" * (not effect.told) + ranks


def _ranks(effect: Effect) -> str | None:
    """The ranks that are not ruled out for a component."""
    if effect.ranks is None:
        return None
    low, high = effect.ranks
    return f"{low}" if low == high else f"{low}–{high}"


Filled = tuple[Column, Callable[[Effect], Cell]]
"""A column, and what stands in it for a component."""


def _by_component(key: str, found: Swept, columns: Sequence[Filled], **told: Any) -> Table:
    """A row for each component, the strongest first; without columns in which nothing stands."""
    ranked = found.strongest
    cells = [(column, [of(effect) for effect in ranked]) for column, of in columns]
    filled = [(column, down) for column, down in cells if any(c is not None for c in down)]
    return Table(
        key=key,
        corner="Component",
        columns=tuple(column for column, _ in filled),
        rows=tuple(
            Row(key=effect.site, name=effect.site, cells=tuple(down[i] for _, down in filled))
            for i, effect in enumerate(ranked)
        ),
        **told,
    )


def _of(effects: Beside, name: str) -> Callable[[Effect], Cell]:
    """What the same component has there under a name."""
    return lambda effect: getattr(effects.get(effect.site), name, None)


def _effects(found: Swept, on_twin: Beside, level: float) -> Table:
    alike = all(effect.measured == "all documents" for effect in found.effects)
    measure, unit = found.measure.name, found.measure.unit
    columns: list[Filled] = [
        (Column(key="change", heading=f"Change of the {measure}", note=unit),
         lambda effect: effect.change),
        (Column(key="share", heading="Share of the corruption's", style="share"),
         lambda effect: effect.share),
        (Column(key="q", heading="q"),
         lambda effect: None if effect.q is None else fmt.chance(effect.q)),
        (Column(key="ranks", heading="Ranks", words=True), _ranks),
        (Column(key="twin", heading="With random weights", note=unit), _of(on_twin, "change")),
        (Column(key="kl", heading="KL"), lambda effect: effect.kl),
        (Column(key="measured", heading="Measured on", words=True),
         lambda effect: None if alike else MEASURED[effect.measured]),
    ]  # fmt: skip
    return _by_component(
        "effects", found, columns, title="All by size",
        caption=f"Intervals: {fmt.tick(level, share=True)}. q: corrected for "
        f"{len(found.tested):,} components. Ranks: those not ruled out.",
        folded=len(found.effects) > STRONGEST,
    )  # fmt: skip


def _more(found: Swept, on_twin: Beside) -> Table:
    """What hardly anybody asks for: a record has to have it all the same."""
    group = "With random weights"
    columns: list[Filled] = [
        (Column(key="p", heading="p"), lambda effect: effect.p),
        (Column(key="gain", heading="Gain of the control variate"), lambda effect: effect.gain),
        (Column(key="twin-share", heading="Share of the corruption's", group=group, style="share"),
         _of(on_twin, "share")),
        *((Column(key=f"twin-{name.lower()}", heading=name, group=group),
           _of(on_twin, name.lower())) for name in ("KL", "p", "q")),
    ]  # fmt: skip
    return _by_component(
        "more", found, columns, folded=True,
        title="Before correction" + ", and with random weights" * bool(on_twin),
        caption="p: before correction for the number of components. Gain: variance without "
        "the attribution over variance with it.",
    )  # fmt: skip
