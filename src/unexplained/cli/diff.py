"""`diff`: what changed between two records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from unexplained import visible
from unexplained.cli.shared import OUT, app

if TYPE_CHECKING:
    from unexplained.record.blocks import Table
    from unexplained.record.difference import Change, Difference

LINES = 40
"""What is printed takes no more, unless all is asked for; verdicts are cut before numbers are."""
VERDICT = 240
"""Letters of a verdict that are shown."""
SAYS = {True: "beyond noise", False: "within noise", None: "not told"}


@app.command()
def diff(
    before: Annotated[Path, typer.Argument(help="A record.json.")],
    after: Annotated[Path, typer.Argument(help="Another one.")],
    full: Annotated[bool, typer.Option(help="Print every number that changed.")] = False,
    run: Annotated[
        list[Path] | None,
        typer.Option(help="Where they were kept, if not in the shared cache; may be given again."),
    ] = None,
) -> None:
    """What changed between two records, by how much, and whether by more than noise."""
    from unexplained.bars.pairing import Pairing
    from unexplained.fetch import kept_in
    from unexplained.places import SHARED
    from unexplained.record import load_record
    from unexplained.record.difference import difference
    from unexplained.report import print_table

    records = load_record(before), load_record(after)
    pairing = Pairing.of(*records, run or list(filter(None, [kept_in(SHARED)])))
    found = difference(*records, pairing)
    head = [
        (f"{name}: {one} before, {two} after" if one else f"{name}: not the same", "dim")
        for name, (one, two) in _some(found)
    ]
    if found.verdicts[0] != found.verdicts[1]:
        head += [(f"{when}: {_short(words, full)}", "") for when, words in
                 zip(("Before", "After"), found.verdicts, strict=True)]  # fmt: skip
    head.append((_counted(found), "bold"))
    end = _paired(found, pairing.lacks)
    for words, style in head:
        _say(words, style)
    certain = [one for one in found.changes if one.beyond]
    room = LINES - 1 - sum(_height(words) for words, _ in [*head, (end, "")])
    if full:
        print_table(_table(found.changes), OUT)
    else:
        mixed = any(one.paired for one in found.changes)
        lines = _fitting([_line(one, mixed) for one in certain], room)
        for words in lines:
            _say(words)
        if len(lines) < len(certain):
            _say(f"{len(certain) - len(lines)} more beyond noise: --full.", "dim")
    _say(end, "dim")


def _some(found: Difference) -> list[tuple[str, tuple[str, str]]]:
    """The first few of what differs of how they were measured."""
    return list(found.headers.items())[:HEADERS]


HEADERS = 4


def _short(words: str, full: bool) -> str:
    return words if full or len(words) <= VERDICT else words[:VERDICT].rsplit(" ", 1)[0] + " …"


def _height(words: str) -> int:
    """Lines that words take on this terminal."""
    return len(Text(visible.line(words)).wrap(OUT, OUT.width)) if words else 0


def _line(one: Change, mixed: bool) -> str:
    """A change in a line or two; its ends are those of the change."""
    from unexplained.record import format as fmt
    from unexplained.shares import SHARE

    before, after = (fmt.show(number).value for number in (one.before, one.after))
    by = fmt.points(one.change) if one.change.unit == SHARE else fmt.show(one.change)
    return f"- {one.says}: {before} → {after}, by {by}{' (unpaired)' * (mixed and not one.paired)}"


def _fitting(lines: Sequence[str], room: int) -> Sequence[str]:
    """As many of the first as there is room for."""
    taken = list(accumulate(map(_height, lines[:room])))
    return lines[: sum(height <= room for height in taken)]


def _paired(found: Difference, lacks: str) -> str:
    """How many changes are by document, and what the others are."""
    if not found.changes:
        return ""
    apart = "as of two measurements that have nothing to do with each other"
    if lacks:
        return f"Unpaired: changes are {apart}; {lacks}."
    some = [one for one in found.changes if one.change.low is not None]
    many = sum(one.paired is not None for one in some)
    rest = f" The others are {apart}: they are no mean, difference or share of sums over both's documents."
    return f"Paired by document: {many} of {len(some)} changes that have an interval.{rest * (many < len(some))}"


def _counted(found: Difference) -> str:
    count = [(sum(c.beyond is known for c in found.changes), word) for known, word in SAYS.items()]
    said = ", ".join(f"{many} {word}" for many, word in count)
    return (
        f"{len(found.changes)} numbers changed ({said}; of so many, up to about "
        f"{len(found.changes) / 20:.0f} would be beyond it by chance), {found.same} are the same to the "
        f"last digit; {len(found.gone)} are gone, {len(found.new)} new."
    )


def _table(changes: Sequence[Change]) -> Table:
    """Changes in words, with their ids."""
    from unexplained.record.blocks import Column, Row, Table

    return Table(
        key="changes",
        caption="Changes of shares are in percentage points.",
        corner="Number",
        columns=tuple(Column(key=name, heading=name) for name in ("Change", "Before", "After")),
        rows=tuple(
            Row(
                key=one.where,
                name=one.says,
                note="; ".join(_notes(one)),
                cells=(one.change, one.before, one.after),
            )
            for one in changes
        ),
    )  # fmt: skip


def _notes(one: Change) -> Iterator[str]:
    yield one.where
    if not one.beyond:
        yield SAYS[one.beyond]
    if one.paired is None and one.change.value is not None:
        yield "unpaired"


def _say(words: str, style: str = "") -> None:
    if words:
        OUT.print(Text(visible.line(words), style=style))
