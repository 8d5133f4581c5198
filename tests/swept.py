"""What the record of a sweep says, by component."""

from __future__ import annotations

from typing import Any, NamedTuple

from unexplained.record import Number, Record
from unexplained.record.blocks import Block, Forest, Table, below, walk


class Joint(NamedTuple):
    """Components together, the sum of each alone, and the difference."""

    together: Number
    summed: Number
    interaction: Number


def block(record: Record, where: str) -> Any:
    """The block of that id."""
    found: dict[str, Block] = {
        below(above, one.key): one for above, one in walk(record.blocks) if getattr(one, "key", "")
    }
    return found[where]


def column(record: Record, name: str, table: str = "alone/effects") -> dict[str, Any]:
    """A column of a table by row, None for what the table does not have."""
    found: Table = block(record, table)
    names = [one.key for one in found.columns]
    at = names.index(name) if name in names else None
    return {row.key: None if at is None else row.cells[at] for row in found.rows}


def fact(record: Record, name: str, table: str = "facts") -> Any:
    """What stands in a list of facts."""
    return column(record, "is", table)[name]


def told(record: Record) -> set[str]:
    """The components that are drawn as told from zero, of the twenty strongest."""
    forest: Forest = block(record, "alone/strongest")
    return {track.name for track in forest.tracks if track.role == "ablation"}


def strongest(record: Record, count: int) -> tuple[set[str], Joint]:
    """The strongest so many, and what they do together."""
    rows = {row.key: row for row in block(record, "together/joints").rows}
    row = rows[f"strongest-{count}"]
    return set(row.note.split()), Joint(*row.cells)


def couples(record: Record) -> dict[frozenset[str], Joint]:
    """Every two that were ablated together."""
    rows = block(record, "together/pairs").rows
    return {frozenset(row.key.split("+")): Joint(*row.cells) for row in rows}
