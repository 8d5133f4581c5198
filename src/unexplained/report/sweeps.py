"""A sweep drawn: the components as a grid, ranked, and the strongest together."""

from __future__ import annotations

import math
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
    """The largest effect either way, in the measure's unit."""

    def shade(self, effect: Effect) -> int:
        """From 0 to 10: the square root of its share of the largest, so that small ones show."""
        value = abs(effect.change.value or 0.0)
        return round(10 * (value / self.most) ** 0.5) if self.most else 0

    @property
    def step(self) -> float:
        """What cells are written in: the power of ten that gives the largest two digits."""
        return float(10.0 ** (math.floor(math.log10(self.most)) - 1)) if self.most else 1.0

    def cell(self, effect: Effect) -> str:
        """The change in steps, for a cell of the grid."""
        if effect.change.value is None:
            return fmt.REFUSED
        return f"{round(effect.change.value / self.step, 1) + 0.0:.1f}".replace("-", fmt.MINUS)


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
        max(abs(effect.change.value or 0.0) for effect in record.effects),
    )


def _index(name: str) -> int:
    digits = re.sub(r"\D", "", name)
    return int(digits) if digits else -1


def hover(record: SweepRecord, effect: Effect) -> str:
    """What a cell says when one points at it."""
    return f"{effect.site}: {fmt.show(effect.change)} {effect.change.unit}, {told(record, effect)}"


def told(record: SweepRecord, effect: Effect) -> str:
    """Whether it is told from zero, and by what."""
    if effect.q is None:
        return "let go by the race: measured only where it was chosen"
    word = "" if record.told(effect) else ", not told from zero"
    return f"q = {fmt.chance(effect.q)}{word}"


def ranks(effect: Effect) -> str:
    """The ranks that are not ruled out for a component."""
    if effect.ranks is None:
        return fmt.MISSING
    low, high = effect.ranks
    return f"{low}" if low == high else f"{low}–{high}"


def what(record: SweepRecord) -> str:
    """What was done to a component."""
    return "patched" if record.ablation == "patch" else "ablated"


def axis(effects: tuple[Effect, ...]) -> Axis:
    """The axis of the ranked list."""
    return nats_axis(effect.change for effect in effects)


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
            record.intact,
            *(n for n in (record.corrupted, record.accuracy) if n is not None),
            *(
                n
                for e in record.strongest[:SHOWN]
                for n in (e.change, e.kl, e.share, record.on_twin(e.site))
                if n is not None
            ),
            *(n for j in joints for n in (j.together, j.summed, j.interaction)),
        ]
    )


def refusal(record: SweepRecord, reason: str, needed: int | None) -> str:
    """Why a number was refused, and how much more would settle it."""
    said = reason or "no reason was recorded"
    if needed is None:
        return said
    kind = "pairs" if record.pairs_of_prompts else "tokens"
    return f"{said}; about {fmt.count(needed)} {kind} would settle it"


def on_twin(record: SweepRecord) -> str:
    """What the same sweep of random weights found, on how much and for how long."""
    twin = record.twin
    if twin is None:
        return ""
    kind = "orbits of pairs" if twin.pairs_of_prompts else "documents"
    return (
        f"With random weights, on {twin.documents} {kind}: {twin.verdict} "
        f"That took {twin.seconds:g} s more."
    )


def print_sweep(record: SweepRecord, console: Console) -> None:
    """Print a sweep: verdict, the strongest, and what they do together."""
    console.print(_plain(record.title, "dim"))
    console.print(_plain(record.verdict, "bold"))
    console.print()
    level = fmt.tick(record.level, share=True)
    unit = record.intact.unit
    kind = "orbits of pairs" if record.pairs_of_prompts else "documents"
    console.print(
        _plain(f"{record.measure} of the intact model, {unit}: {fmt.show(record.intact)}")
    )
    if record.accuracy is not None:
        console.print(
            _plain(
                f"pairs in which it prefers the answer: {fmt.show(record.accuracy)}; "
                f"{record.measure} on the corrupted prompts: {fmt.show(record.corrupted)}"
            )
        )
    ranked = tables.plain_table(
        f"{record.text}: {fmt.count(record.tokens)} predictions in {record.documents} {kind}; "
        f"{unit} [{level}]; q: corrected for {record.tested} components; "
        f"ranks: those not ruled out; method: {tables.METHOD_NAMES[record.tag]}"
    )
    optional = [
        (head, name)
        for head, name in (("share of the corruption", "share"), ("KL", "kl"))
        if any(getattr(effect, name) is not None for effect in record.effects)
    ]
    heads = [head for head, _ in optional]
    last = ["random weights"] if record.twin else []
    _columns(ranked, "component", f"change of the {record.measure}", *heads, "q", "ranks", *last)
    for effect in record.strongest[:SHOWN]:
        ranked.add_row(
            _plain(effect.site),
            _plain(str(fmt.show(effect.change))),
            *(_plain(fmt.show(getattr(effect, name)).value) for _, name in optional),
            fmt.MISSING if effect.q is None else fmt.chance(effect.q),
            _plain(ranks(effect)),
            *([_plain(fmt.show(record.on_twin(effect.site)).value)] if last else []),
            style="" if record.told(effect) else "dim",
        )
    console.print(ranked)
    if record.twin is not None:
        console.print(_plain(on_twin(record)))
    if record.estimation is not None:
        console.print(_plain(record.estimation.says))
    if record.joints:
        together = tables.plain_table(
            f"{what(record)} together, on the {record.reported_on} {kind} that did not choose them"
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
        table.add_column(_plain(heading), justify="right", overflow="fold")


def _plain(words: str, style: str = "") -> Text:
    return Text(visible.line(words).replace(fmt.MINUS, "-"), style=style)
