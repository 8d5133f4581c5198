"""What components do together against the sum of what each does alone: numbers, and how they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unexplained.bars.measures import Measure
from unexplained.bars.paired import paired
from unexplained.bars.recovered import INTACT
from unexplained.ledger import ALL, Ledger
from unexplained.record import Number
from unexplained.record.blocks import Block, Column, Grid, GridRow, Prose, Row, Section, Table
from unexplained.record.compute import Scale
from unexplained.shares import within
from unexplained.sites import Site
from unexplained.stats import SHARE, Settings, difference_per_token


@dataclass(frozen=True)
class Joint:
    """Several components ablated together, against the sum of each alone."""

    sites: tuple[str, ...]
    together: Number
    """Change of the measure with all of them ablated."""
    summed: Number
    """Sum of their single changes on the same documents."""
    interaction: Number
    """`together` minus `summed`. For a loss: above 0 they stand in for each other; below 0 they
    cancel, or one works through the other."""


@dataclass(frozen=True)
class Together:
    """The strongest components together, on documents that did not choose them."""

    joints: tuple[Joint, ...]
    """The strongest 2, 3, 5, … together."""
    couples: tuple[Joint, ...]
    """The strongest, two at a time."""
    chosen_on: int
    """Documents that chose them."""
    reported_on: int
    scale: Scale | None = None
    """The model without them among a family of the user's own."""


def joint(ledger: Ledger, group: Sequence[Site], measure: Measure, settings: Settings) -> Joint:
    """What some components do together, against the sum of what each does alone.

    Args:
        ledger: The losses, by condition, document and stratum, as `evaluate` gives them.
        group: Components that were ablated together, and each alone.
        measure: What changed: as `measure_of` gives it.
        settings: Level and seed of intervals.
    """
    names = (INTACT, name_of(group), *map(str, group))
    read = paired(ledger, measure.column, names, ALL)
    intact, both, *singles = read.columns
    summed = np.sum([single - intact for single in singles], axis=0)
    # A sum of several shares is no share of the tokens; its part by each of them is one.
    count = len(group) if measure.unit == SHARE else 0

    def per_token(a: np.ndarray, b: np.ndarray, parts: int = 1) -> Number:
        parts = max(parts, 1)
        found = difference_per_token(
            a / parts, b / parts, read.tokens, settings=settings, unit=measure.unit
        )
        ends = {name: getattr(found, name) for name in ("value", "low", "high")}
        return found.model_copy(update={k: v and v * parts for k, v in ends.items()})

    return Joint(
        sites=tuple(map(str, group)),
        together=within(per_token(both, intact), *measure.changes),
        summed=per_token(summed, summed * 0, count),
        interaction=per_token(both - intact, summed, count + 1),
    )


def name_of(group: Sequence[Site]) -> str:
    """The name of the condition in which some components are ablated together."""
    return " ".join(map(str, group))


def without(count: int) -> str:
    """What the model is called in which so many of the strongest are ablated."""
    return f"without the strongest {count}"


def together(found: Together, measure: Measure, units: str) -> Section:
    """A section of them.

    Args:
        found: What was measured.
        measure: Of what.
        units: What documents are called.
    """
    means = (
        "Above 0, components stand in for each other and each looks harmless alone; below 0, they "
        "cancel or one works through the other."
        if measure.name in ("loss", "KL")
        else "Of the sign of the joint effect: components stand in for each other and each looks "
        "harmless alone. Of the other sign: they cancel, or one works through the other."
    )
    says = Prose(
        words=f"Chosen on {found.chosen_on:,} {units}, measured on the other "
        f"{found.reported_on:,}. Interaction: together minus the sum of each alone. {means}"
    )
    shown: list[Block] = []
    caption = f"On the {found.reported_on:,} {units} that did not choose them."
    if found.joints:
        names = [(f"strongest-{len(one.sites)}", f"the strongest {len(one.sites)}",
                  " ".join(one.sites)) for one in found.joints]  # fmt: skip
        shown.append(_joints(measure, "joints", found.joints, names, caption=caption))
    if found.couples:
        names = [("+".join(one.sites), " and ".join(one.sites), "") for one in found.couples]
        table = _joints(measure, "pairs", found.couples, names, caption=caption,
                        title="Two at a time, in numbers", folded=True)  # fmt: skip
        shown += [_matrix(found.couples, table), table]
    return Section(key="together", title="Together against alone", blocks=(says, *shown))


def _joints(
    measure: Measure,
    key: str,
    joints: Sequence[Joint],
    names: Sequence[tuple[str, str, str]],
    **told: Any,
) -> Table:
    """A row for each, with its key, name and note."""
    unit = measure.unit
    return Table(
        key=key,
        corner="Components",
        columns=(
            Column(key="together", heading="Together", note=unit),
            Column(key="summed", heading="Sum of each alone", note=unit),
            Column(key="interaction", heading="Interaction", note=unit),
        ),
        rows=tuple(
            Row(key=row, name=name, note=note, cells=(one.together, one.summed, one.interaction))
            for one, (row, name, note) in zip(joints, names, strict=True)
        ),
        **told,
    )


def _matrix(couples: Sequence[Joint], table: Table) -> Grid:
    """Interactions of the strongest, two at a time, in either order."""
    sites = tuple(dict.fromkeys(site for joint in couples for site in joint.sites))
    cells, settled = {}, []
    for joint in couples:
        one, other = joint.sites
        where = table.at("+".join(joint.sites), "interaction")
        cells[one, other] = cells[other, one] = where
        low, high = joint.interaction.low, joint.interaction.high
        if (low is not None and low > 0) or (high is not None and high < 0):
            settled.append(where)
    return Grid(
        key="two",
        title="Two at a time",
        caption="Interaction. Told from zero: by its own interval, not corrected for their number.",
        columns=sites,
        rows=tuple(
            GridRow(name=one, cells=tuple(cells.get((one, other)) for other in sites))
            for one in sites
        ),
        framed=tuple(settled),
    )
