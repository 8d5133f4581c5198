"""`diff`: what changed between two records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from unexplained import visible
from unexplained.cli.shared import OUT, app
from unexplained.record.blocks import Column, Row, Table

if TYPE_CHECKING:
    from unexplained.record.difference import Change, Difference

SHOWN = 6
SAYS = {True: "beyond noise", False: "within noise", None: "not told"}


@app.command()
def diff(
    before: Annotated[Path, typer.Argument(help="A record.json.")],
    after: Annotated[Path, typer.Argument(help="Another one.")],
    full: Annotated[bool, typer.Option(help="Print every number that changed.")] = False,
) -> None:
    """What changed between two records, by how much, and whether by more than noise."""
    from unexplained.record import load_record
    from unexplained.record.difference import difference
    from unexplained.report import print_table

    found = difference(load_record(before), load_record(after))
    for name, (one, two) in found.headers.items():
        _say(f"{name}: {one} before, {two} after", "dim")
    if found.verdicts[0] != found.verdicts[1]:
        _say(f"Before: {found.verdicts[0]}")
        _say(f"After: {found.verdicts[1]}")
    _say(_counted(found), "bold")
    certain = [one for one in found.changes if one.beyond]
    shown = found.changes if full else certain[:SHOWN]
    if shown:
        print_table(_table(shown), OUT)
    if len(shown) < len(certain):
        _say(f"{len(certain) - len(shown)} more beyond noise: --full.", "dim")
    if found.changes:
        same = ", but both are of one model on the same texts, where less than this is noise"
        _say(
            "Unpaired: changes are as of two measurements that have nothing to do with each other"
            f"{same if found.paired else ''}.",
            "dim",
        )


def _counted(found: Difference) -> str:
    count = [(sum(c.beyond is known for c in found.changes), word) for known, word in SAYS.items()]
    said = ", ".join(f"{many} {word}" for many, word in count)
    return (
        f"{len(found.changes)} numbers changed ({said}; of so many, up to about "
        f"{len(found.changes) / 20:.0f} would be beyond it by chance), {found.same} are the same to the "
        f"last digit; {len(found.gone)} are gone, {len(found.new)} new."
    )


def _table(changes: Sequence[Change]) -> Table:
    return Table(
        key="changes",
        caption="Changes of shares are in percentage points.",
        corner="Number",
        columns=tuple(Column(key=name, heading=name) for name in ("Change", "Before", "After")),
        rows=tuple(
            Row(key=one.where, name=one.where, note="" if one.beyond else SAYS[one.beyond],
                cells=(one.change, one.before, one.after))
            for one in changes
        ),
    )  # fmt: skip


def _say(words: str, style: str = "") -> None:
    OUT.print(Text(visible.line(words), style=style))
