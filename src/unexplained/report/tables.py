"""What tables say beside single numbers: footnotes, sites, n-gram tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from unexplained.record import Counted, Number
from unexplained.report import visible

METHOD_NAMES = {
    "mech": "mechanistic",
    "high-level": "high-level",
    "internals": "internals",
    "black-box": "black-box",
}
Notes = dict[tuple[str, int | None], int]
"""For each reason and number of tokens needed, the number of its footnote."""


def refusals(numbers: Iterable[Number | None]) -> Notes:
    """Number the reasons for which numbers were refused, in order of appearance."""
    notes: Notes = {}
    for number in numbers:
        if number is not None and number.value is None:
            notes.setdefault((number.refused, number.tokens_needed), len(notes) + 1)
    return notes


def sites_in_short(sites: tuple[str, ...], *, show: int = 8) -> str:
    """The first sites, and how many more there are.

    >>> sites_in_short(("L1.H0", "L1.H1", "L1.H2"), show=2)
    'L1.H0, L1.H1 and 1 more'
    """
    if len(sites) <= show:
        return ", ".join(sites)
    return f"{', '.join(sites[:show])} and {len(sites) - show} more"


def plain_table(title: str) -> Table:
    """An empty table for the terminal, with a title in grey above it."""
    return Table(
        title=Text(visible.line(title), style="dim") if title else None,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1),
    )


def counted(known: Sequence[Counted]) -> str:
    """What n-gram tables were counted on, how they are smoothed, and how the other way would do.

    Empty where there are none, as in older records.
    """
    if not known:
        return ""
    said = f"N-gram tables: {known[0].extent}."
    if not any(one.held_out for one in known):
        ways = ", ".join(f"{one.name} {one.smoothing}" for one in known)
        return f"{said} Smoothing, with too few documents to choose it by: {ways}."
    ways = ", ".join(
        f"{one.name} {one.smoothing} {one.held_out[one.smoothing]:.3f}"
        + "".join(
            f" ({name} {loss:.3f})" for name, loss in one.held_out.items() if name != one.smoothing
        )
        for one in known
        if one.held_out
    )
    return f"{said} Smoothing, the better on held-out documents of it (nats per token): {ways}."
