"""A sweep drawn: the components as a grid, ranked, and the strongest together."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from unexplained.record import Effect, Joint, SweepRecord
from unexplained.report import format as fmt
from unexplained.report import tables, visible
from unexplained.report.charts import Axis, nats_axis

SHOWN = 20
"""How many of the strongest are listed; the record has all."""


@dataclass(frozen=True)
class Grid:
    """Components of one kind by layer."""

    what: str
    """`head` or `part`."""
    columns: tuple[str, ...]
    rows: tuple[tuple[int, tuple[Effect | None, ...]], ...]
    """Layer, and its effect in each column."""
    most: float
    """The largest effect either way (nats per token)."""

    def shade(self, effect: Effect) -> int:
        """From 0 to 10: the square root of its share of the largest, so that small ones show."""
        value = abs(effect.increase.value or 0.0)
        return round(10 * (value / self.most) ** 0.5) if self.most else 0


def grid(record: SweepRecord, widest: int = 64) -> Grid | None:
    """The effects by layer and head, or by layer and part; None where there are too many columns."""
    found: dict[int, dict[str, Effect]] = {}
    for effect in record.effects:
        match = re.fullmatch(r"L(\d+)\.(\w+)", effect.site)
        if match is None:
            return None
        found.setdefault(int(match[1]), {})[match[2]] = effect
    names = {name for row in found.values() for name in row}
    columns = sorted(names, key=lambda name: (re.sub(r"\d", "", name), _index(name)))
    if not columns or len(columns) > widest:
        return None
    heads = all(re.fullmatch(r"H\d+", name) for name in columns)
    return Grid(
        "head" if heads else "part",
        tuple(columns),
        tuple((layer, tuple(row.get(c) for c in columns)) for layer, row in sorted(found.items())),
        max(abs(effect.increase.value or 0.0) for effect in record.effects),
    )


def _index(name: str) -> int:
    digits = re.sub(r"\D", "", name)
    return int(digits) if digits else -1


def hover(effect: Effect) -> str:
    """What a cell says when one points at it."""
    return f"{effect.site}: {fmt.show(effect.increase)} nats per token, q = {effect.q:.2g}"


def cell(effect: Effect) -> str:
    """The increase in thousandths of a nat, for a cell of the grid."""
    if effect.increase.value is None:
        return fmt.REFUSED
    return f"{round(1000 * effect.increase.value, 1) + 0.0:.1f}".replace("-", fmt.MINUS)


def axis(effects: tuple[Effect, ...]) -> Axis:
    """The axis of the ranked list."""
    return nats_axis(effect.increase for effect in effects)


def matrix(record: SweepRecord) -> tuple[tuple[str, ...], dict[tuple[str, str], Joint]]:
    """The strongest components, and for two of them in either order what they do together."""
    sites = tuple(dict.fromkeys(site for joint in record.pairs for site in joint.sites))
    found = {}
    for joint in record.pairs:
        one, other = joint.sites
        found[one, other] = found[other, one] = joint
    return sites, found


def notes(record: SweepRecord) -> tables.Notes:
    """Why numbers on the page were refused."""
    joints = (*record.joints, *record.pairs)
    return tables.refusals(
        [
            record.loss,
            *(n for e in record.strongest[:SHOWN] for n in (e.increase, e.kl)),
            *(n for j in joints for n in (j.together, j.summed, j.interaction)),
        ]
    )


def print_sweep(record: SweepRecord, console: Console) -> None:
    """Print a sweep: verdict, the strongest, and what they do together."""
    console.print(_plain(record.title, "dim"))
    console.print(_plain(record.verdict, "bold"))
    console.print()
    level = fmt.tick(record.level, share=True)
    ranked = tables.plain_table(
        f"{record.text}: {fmt.count(record.tokens)} tokens in {record.documents} documents; "
        f"nats per token [{level}]; q: corrected for {len(record.effects)} components"
    )
    _columns(ranked, "component", "increase", "KL", "q")
    for effect in record.strongest[:SHOWN]:
        style = "" if effect.q < record.rate else "dim"
        ranked.add_row(
            _plain(effect.site),
            _plain(str(fmt.show(effect.increase))),
            _plain(fmt.show(effect.kl).value),
            f"{effect.q:.2g}",
            style=style,
        )
    console.print(ranked)
    if record.joints:
        together = tables.plain_table(
            f"ablated together, on the {record.reported_on} documents that did not choose them"
        )
        _columns(together, "components", "together", "sum of each alone", "interaction")
        for joint in record.joints:
            together.add_row(
                _plain(" ".join(joint.sites)),
                *(_plain(str(fmt.show(n))) for n in (joint.together, joint.summed)),
                _plain(str(fmt.show(joint.interaction))),
            )
        console.print(together)


def _columns(table: Table, first: str, *others: str) -> None:
    table.add_column(first, overflow="fold")
    for heading in others:
        table.add_column(heading, justify="right", overflow="fold")


def _plain(words: str, style: str = "") -> Text:
    return Text(visible.line(words).replace(fmt.MINUS, "-"), style=style)
