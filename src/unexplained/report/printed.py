"""Cells, and the tables of bars and training compute, as the terminal has them."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from unexplained.record import Number, Scale
from unexplained.report import compute, tables, visible, weaker
from unexplained.report import format as fmt

NARROW = 96
"""Columns below which intervals go to a line of their own and some columns are left out."""

ROOM = 2
"""Kinds of share whose intervals have room on a narrow terminal."""


def value(number: Number | None, notes: tables.Notes) -> Text:
    """The value alone, or `refused` with its note's number."""
    return noted(number, notes, fmt.show(number).value)


def share(number: Number | None, notes: tables.Notes, narrow: bool) -> Text:
    """A share with its interval, or `refused` with its note's number."""
    shown = fmt.show(number, share=True)
    if narrow and shown.interval:
        return Text("\n").join((plain(shown.value), plain(shown.interval)))
    return noted(number, notes, str(shown))


def share_only(number: Number, notes: tables.Notes) -> Text:
    """A share without its interval, or `refused` with its note's number."""
    return noted(number, notes, fmt.show(number, share=True).value)


def portion(number: Number | None, notes: tables.Notes, interval: bool = True) -> Text:
    """A share of any order of magnitude, its interval on a line of its own."""
    shown = fmt.portion(number)
    if shown.interval and not interval:
        return plain(shown.value)
    if shown.interval:
        return Text("\n").join((plain(shown.value), plain(shown.interval)))
    return noted(number, notes, str(shown))


def noted(number: Number | None, notes: tables.Notes, words: str) -> Text:
    """Words for a number; where it was refused, with its note's number."""
    if number is None or number.value is not None:
        return plain(words)
    return plain(f"{words} [{notes[number.refused, number.tokens_needed]}]", "italic")


def plain(words: str, style: str = "") -> Text:
    """Text as it is: no markup is read from it, and it cannot steer the terminal."""
    return Text(visible.line(words).replace(fmt.MINUS, "-"), style=style)


def scale(ladder: Scale, notes: tables.Notes, level: float, width: int) -> list[Text | Table]:
    """What training compute would buy each loss, and what share that is of the model's."""
    narrow = width < NARROW
    table = tables.plain_table(
        f"as good as a model trained with so many FLOPs [{fmt.tick(level, share=True)}], and shares"
    )
    table.add_column("condition", min_width=10, overflow="fold")
    table.add_column("FLOPs", justify="right", no_wrap=True)
    kinds = weaker.shown_kinds(ladder)
    room = len(kinds) <= ROOM + (0 if narrow else 1 + (width - NARROW) // 12)
    for _, heading, _ in kinds:
        table.add_column(heading.lower().removesuffix(" share"), justify="right", min_width=7)
    for one in compute.everyone(ladder):
        shown = fmt.compute(one.equals)
        words = shown.value + " *" * compute.extrapolated(one, ladder.law)
        words += f"\n{shown.interval}" if shown.interval and not narrow else ""
        table.add_row(
            plain(weaker.named(one, ladder)),
            noted(one.equals, notes, words),
            *(
                portion(one.shares.get(kind), notes, room).append(
                    " *" * ladder.extrapolated(one, kind)
                )
                for kind, _, _ in kinds
            ),
            style="dim" if one is ladder.subject else "",
        )
    far = any(
        ladder.extrapolated(one, kind)
        for one in compute.everyone(ladder)
        for kind in (None, *(kind for kind, _, _ in kinds))
    )
    lines = [
        weaker.law(ladder),
        *["* extrapolated, or a share of what is"] * far,
        weaker.held(ladder),
        ladder.scatter,
    ]
    lines += ["the page has the shares' intervals"] * (not room)
    lines += [
        f"{heading}: refused for all, {weaker.why_none(ladder, kind)}"
        for kind, heading, _ in weaker.kinds(ladder)
        if (kind, heading) not in [(k, h) for k, h, _ in kinds]
    ]
    return [table, *(plain(line, "dim") for line in lines if line)]


def bars(group: weaker.Group, notes: tables.Notes) -> Table:
    """Where each condition stands among baselines and weaker models; the page has intervals."""
    table = tables.plain_table("against baselines and weaker models; no bar is a pass mark")
    table.add_column("condition", min_width=12, overflow="fold", ratio=3)
    if group.rungs:
        table.add_column("place", overflow="fold", ratio=3)
    table.add_column("recovered against", overflow="fold", ratio=4)
    if group.rungs:
        table.add_column("gap score against", overflow="fold", ratio=4)

    def several(items: Iterable[tuple[str, Number]]) -> Text:
        cells = (Text.assemble(plain(name), " ", share_only(n, notes)) for name, n in items)
        return Text(", ").join(cells)

    for one in group.bars:
        cells = [plain(one.condition)]
        if group.rungs:
            cells.append(plain(one.place.place if one.place else fmt.MISSING))
        cells.append(several((base.baseline, base.recovered) for base in one.baselines))
        if group.rungs:
            cells.append(several((rung.rung, rung.score) for rung in one.rungs))
        table.add_row(*cells)
    return table
