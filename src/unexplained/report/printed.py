"""Cells, and the tables of bars and training compute, as the terminal has them."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from unexplained.bars.scales import in_words
from unexplained.record import Number, Scale
from unexplained.record import format as fmt
from unexplained.report import compute, tables, visible, weaker

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
            *(portion(one.shares.get(kind), notes, room) for kind, _, _ in kinds),
            style="dim" if one is ladder.subject else "",
        )
    far = any(compute.extrapolated(one, ladder.law) for one in compute.everyone(ladder))
    lines = [in_words(ladder), *["* extrapolated"] * far, weaker.held(ladder), ladder.scatter]
    lines += ["the page has the shares' intervals"] * (not room)
    lines += [
        f"{heading}: refused for all, {weaker.why_none(ladder, kind)}"
        for kind, heading, _ in weaker.kinds(ladder)
        if (kind, heading) not in [(k, h) for k, h, _ in kinds]
    ]
    return [table, *(plain(line, "dim") for line in lines if line)]
