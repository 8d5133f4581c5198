"""Where a gap between two models lives: the curve placed, in words and in the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from unexplained.record import GapRecord, Number
from unexplained.record.bars import Concentration, CrucialPart, OnCrucial
from unexplained.report import circuits, printed, tables
from unexplained.report import format as fmt
from unexplained.report.charts import Axis, nats_axis
from unexplained.report.placing import Spot, finite, from_top, paths, spot

LOWEST, HIGHEST = -0.5, 3.0
"""Shares of the net gap beyond which the chart does not go: chance alone can bring a curve there."""
NAMED_FROM = 0.3
"""Share of the tokens left of which a curve has no room for its name."""
WIDE = 112
"""Columns of the terminal from which explanations have everything on one line."""
ORDERS = ("by the second pair", "by the models' own gap")
"""Headings of the two orders, side by side."""


@dataclass(frozen=True)
class Plot:
    """The share of the net gap that the first so many tokens carry, in both orders, placed."""

    y: Axis
    lines: tuple[str, ...]
    """Corners `x,y …` in the second pair's order; a refused point cuts the line in two."""
    band: str
    """The intervals along it, as a polygon; empty where a point has none."""
    dots: tuple[Spot, ...]
    own: tuple[str, ...]
    """Corners in the models' own order."""
    name: tuple[float, float] | None
    """Where the name of the first curve ends, just above it."""
    own_name: tuple[float, float] | None
    """Where the name of the second stands, above its highest point."""
    peak: str
    """The second curve's highest point, where it lies beyond the chart."""

    def from_top(self, carried: float) -> float:
        """Height of a share, in percent from above."""
        return from_top(self.y, carried)


def plot(record: GapRecord) -> Plot | None:
    """Place both curves; None where the honest one has nothing that can be drawn."""
    curve, own = record.spread.curve, record.flattered.curve
    carried = [finite(point.carries) for point in curve]
    if all(value is None for value in carried):
        return None
    ends = [e for p in curve for e in (p.carries.value, p.carries.low, p.carries.high)]
    ends += [point.carries.value for point in own]
    near = [min(max(e, LOWEST), HIGHEST) for e in ends if e is not None and math.isfinite(e)]
    y = nats_axis(Number(value=end) for end in (*near, 1.0))
    placed = (spot(_across(p.tokens), p.carries, y, hover(p.tokens, p.carries)) for p in curve)
    top = max((v for p in own if (v := finite(p.carries)) is not None), default=None)
    return Plot(
        y,
        lines=_line(record.spread, y),
        band=_band(record.spread, y),
        dots=tuple(dot for dot in placed if dot is not None),
        own=_line(record.flattered, y),
        name=_name(record, y),
        own_name=_own_name(record.flattered, y, top),
        peak=fmt.show(Number(value=top, unit="share")).value if top and top > y.high else "",
    )


def _across(tokens: float) -> float:
    return round(100 * tokens, 2)


def _line(spread: Concentration, y: Axis) -> tuple[str, ...]:
    """From no tokens, which carry nothing, to all."""

    def corner(tokens: float, number: Number) -> tuple[float, float] | None:
        value = finite(number)
        return None if value is None else (_across(tokens), from_top(y, value))

    corners = [corner(point.tokens, point.carries) for point in spread.curve]
    start = [(0.0, from_top(y, 0.0))] if corners and corners[0] is not None else []
    return paths([*start, *corners])


def _band(spread: Concentration, y: Axis) -> str:
    there, back = ["0," + f"{from_top(y, 0.0):g}"], []
    for point in spread.curve:
        low, high = point.carries.low, point.carries.high
        if low is None or high is None:
            return ""
        there.append(f"{_across(point.tokens):g},{from_top(y, high):g}")
        back.append(f"{_across(point.tokens):g},{from_top(y, low):g}")
    return " ".join(there + back[::-1])


def _name(record: GapRecord, y: Axis) -> tuple[float, float] | None:
    """Where the two curves are furthest apart: there is room between them."""
    others = {point.tokens: finite(point.carries) for point in record.flattered.curve}
    room = []
    for point in record.spread.curve:
        value = finite(point.carries)
        if value is not None and NAMED_FROM <= point.tokens < 1:
            room.append((abs((others.get(point.tokens) or value) - value), point.tokens, value))
    if not room:
        return None
    _, tokens, value = max(room)
    return _across(tokens), min(max(from_top(y, value), 0.0), 100.0)


def _own_name(spread: Concentration, y: Axis, top: float | None) -> tuple[float, float] | None:
    if top is None:
        return None
    at = next(point.tokens for point in spread.curve if finite(point.carries) == top)
    return min(max(_across(at), 30.0), 70.0), max(from_top(y, top), 0.0)


def hover(tokens: float, carries: Number) -> str:
    """What a point of the curve says when one points at it."""
    return f"the first {circuits.share(tokens)} of the tokens carry {fmt.show(carries)} of the gap"


def probability(below: float) -> str:
    """The probability that a loss stands for.

    >>> probability(0.1), probability(0.5), probability(0.001)
    ('90%', '61%', '99.9%')
    """
    return circuits.share(math.exp(-below))


def rows(record: GapRecord) -> tuple[tuple[str, str, bool | None, Number, Number], ...]:
    """Name, note and whether it is a percentage, then the number in both orders."""
    one, two = record.spread, record.flattered
    shares = dict.fromkeys([*one.carrying, *two.carrying])
    missing = Number(value=None, refused="not measured in this order")
    return (
        ("Effective share", "of the tokens", None, one.effective, two.effective),
        ("Concentration factor", "1: an even gap", None, one.factor, two.factor),
        ("Concentration index", "0: an even gap", False, one.index, two.index),
        ("Bounded index", "between −1 and 1", False, one.bounded, two.bounded),
        *(
            (
                f"Tokens carrying {fmt.tick(float(share), share=True)}",
                "of the net gap",
                None,
                one.carrying.get(share, missing),
                two.carrying.get(share, missing),
            )
            for share in shares
        ),
    )


def points(record: GapRecord) -> tuple[tuple[float, Number | None, Number | None], ...]:
    """Share of the tokens, and what they carry in both orders."""
    one, two = (
        {point.tokens: point.carries for point in spread.curve}
        for spread in (record.spread, record.flattered)
    )
    return tuple((at, one.get(at), two.get(at)) for at in sorted({*one, *two}))


def half(record: GapRecord) -> str:
    """What the curve says of half of the gap, in a sentence.

    >>> from types import SimpleNamespace as Given
    >>> quarter = Number(value=0.249, low=0.211, high=0.285, unit="share")
    >>> half(Given(spread=Given(carrying={"0.5": quarter})))
    'Half of the net gap is carried by 24.9% [21.1%, 28.5%] of the tokens. Were it the same on every \
token, it would take 50%.'
    """
    number = record.spread.carrying.get("0.5")
    if number is None:
        return ""
    if number.value is None:
        return f"How few tokens carry half of the net gap is refused: {fmt.refusal(number)}."
    return (
        f"Half of the net gap is carried by {fmt.show(number)} of the tokens. Were it the same on "
        "every token, it would take 50%."
    )


def given_back(record: GapRecord) -> str:
    """How much of what the strong model gains it gives back, in a sentence."""
    one = record.spread
    if any(n.value is None for n in (one.worse, one.gained, one.given_back, one.gap)):
        return (
            f"Tokens on which the strong model has the higher loss: {fmt.show(one.worse)}. In nats "
            f"per token: gained where it is better, {fmt.show(one.gained)}; given back where it is "
            f"worse, {fmt.show(one.given_back)}; net gap, {fmt.show(one.gap)}."
        )
    return (
        f"On {fmt.show(one.worse)} of the tokens the strong model has the higher loss. Over all "
        f"tokens it gains {fmt.show(one.gained)} nats per token where it is better and gives back "
        f"{fmt.show(one.given_back)} where it is worse, which leaves the net gap of "
        f"{fmt.show(one.gap)}."
    )


def over_runs(record: GapRecord) -> str:
    """What other runs of both models say, in a sentence or two."""
    found = record.runs
    if found is None:
        return (
            f"All of this is of {record.subject} and {record.weak} alone: how much other seeds of "
            "training would move it is not known."
        )
    others = "; ".join(f"{strong} and {weak}" for strong, weak in found.pairs[1:])
    if found.effective.value is None:
        spread = f"its effective share is refused: {fmt.refusal(found.effective)}"
    else:
        spread = f"its effective share is {fmt.show(found.effective)}"
    if found.gap.value is None or found.worse.value is None:
        return (
            f"With other runs of both ({others}), other documents and other seeds counted: gap in nats "
            f"per token, {fmt.show(found.gap)}; {spread}; tokens on which the strong model has the "
            f"higher loss, {fmt.show(found.worse)}. Everything else is of {record.subject} and "
            f"{record.weak} alone."
        )
    return (
        f"With other runs of both ({others}), other documents and other seeds counted, the gap is "
        f"{fmt.show(found.gap)} nats per token, {spread}, and the strong model has the higher loss "
        f"on {fmt.show(found.worse)} of the tokens. Everything else is of {record.subject} and "
        f"{record.weak} alone."
    )


def parts(one: OnCrucial) -> tuple[tuple[str, CrucialPart], ...]:
    """The crucial tokens and the rest."""
    return ("crucial", one.crucial), ("the rest", one.rest)


def chosen(record: GapRecord) -> tuple[str, ...]:
    """How crucial tokens were chosen: mostly the same for all explanations."""
    return tuple(dict.fromkeys(one.says for one in record.on_crucial))


def notes(record: GapRecord) -> tables.Notes:
    """Why numbers were refused."""
    one = record.spread
    near = (n for at in one.near_zero for n in (at.weak, at.strong, at.more))
    both = (n for _, _, _, *numbers in rows(record) for n in numbers)
    curves = (n for _, *numbers in points(record) for n in numbers)
    explained = (
        n
        for claim in record.on_crucial
        for _, part in parts(claim)
        for n in (part.damage, part.carries, part.recovered, part.gap, part.score)
    )
    head = (record.strong_loss, record.weak_loss, one.gap)
    whole: tuple[Number, ...] = (one.worse, one.gained, one.given_back)
    if (runs := record.runs) is not None:
        whole = (*whole, runs.gap, runs.worse, runs.factor, runs.effective)
    return tables.refusals((*head, *both, *curves, *near, *whole, *explained))


def print_gap(record: GapRecord, console: Console) -> None:
    """Print a gap record: verdict, both orders, near-zero losses, explanations where it lives."""
    numbered, narrow = notes(record), console.width < printed.NARROW
    console.print(printed.plain(record.title, "dim"))
    console.print(printed.plain(record.verdict, "bold"))
    console.print()
    console.print(
        printed.plain(
            f"{record.text}: {fmt.count(record.tokens)} tokens in "
            f"{fmt.count(record.documents)} documents; loss {fmt.show(record.strong_loss)} "
            f"({record.subject}), {fmt.show(record.weak_loss)} ({record.weak}), nats per token"
        )
    )
    console.print(printed.plain(half(record)))
    console.print(printed.plain(given_back(record)))
    console.print(printed.plain(over_runs(record)))
    level = fmt.tick(record.level, share=True)
    console.print(_orders(record, numbered, level))
    if record.spread.near_zero:
        console.print(_near_zero(record, numbered, level, narrow))
    if record.on_crucial:
        for says in chosen(record):
            console.print(printed.plain(f"crucial: {says}"))
        console.print(_explained(record.on_crucial, numbered, level, console.width < WIDE))
    strong, weak = record.chosen_by
    console.print(
        printed.plain(f"second pair: {strong} and {weak}. {record.spread.caution}", "dim")
    )
    console.print(printed.plain(f"own gap: {record.flattered.caution}", "dim"))
    for (reason, tokens), note in numbered.items():
        number = Number(value=None, refused=reason, tokens_needed=tokens)
        console.print(printed.plain(f"[{note}] {fmt.refusal(number)}", "dim"))


def _orders(record: GapRecord, notes: tables.Notes, level: str) -> Table:
    table = tables.plain_table(f"how concentrated the gap is, tokens in two orders [{level}]")
    table.add_column("")
    for heading in ORDERS:
        table.add_column(heading, justify="right", overflow="fold")
    for name, _, percent, one, two in rows(record):
        shown = (printed.noted(n, notes, str(fmt.show(n, share=percent))) for n in (one, two))
        table.add_row(name.lower(), *shown)
    return table


def _near_zero(record: GapRecord, notes: tables.Notes, level: str, narrow: bool) -> Table:
    table = tables.plain_table(f"tokens that are all but certain, share of all [{level}]")
    table.add_column("loss below", no_wrap=True)
    for heading in (record.weak, record.subject, "more, points"):
        table.add_column(printed.plain(heading), justify="right", overflow="fold", min_width=16)
    for at in record.spread.near_zero:
        table.add_row(
            fmt.tick(at.below, share=False),
            *(_cell(n, fmt.show(n), notes, narrow) for n in (at.weak, at.strong)),
            _cell(at.more, fmt.points(at.more), notes, narrow),
        )
    return table


def _explained(claims: Sequence[OnCrucial], notes: tables.Notes, level: str, narrow: bool) -> Table:
    table = tables.plain_table(f"explanations where the gap lives and elsewhere [{level}]")
    table.add_column("explanation", min_width=9, overflow="fold")
    table.add_column("on", no_wrap=True)
    # A narrow terminal has no room for everything: counts and the damage's interval are left out.
    for heading in ("tokens", "damage", "recovered", "gap score")[narrow:]:
        table.add_column(heading, justify="right", no_wrap=True)
    for claim in claims:
        for name, part in parts(claim):
            damage = fmt.show(part.damage)
            cells = (
                printed.plain(fmt.count(part.tokens)),
                printed.noted(part.damage, notes, damage.value if narrow else str(damage)),
                printed.share(part.recovered, notes, narrow),
                printed.share(part.score, notes, narrow),
            )
            table.add_row(printed.plain(claim.condition), name, *cells[narrow:])
    return table


def _cell(number: Number | None, shown: fmt.Shown, notes: tables.Notes, narrow: bool) -> Text:
    """A number with its interval, on a line of its own where the terminal is narrow."""
    if narrow and shown.interval:
        return Text("\n").join((printed.plain(shown.value), printed.plain(shown.interval)))
    return printed.noted(number, notes, str(shown))
