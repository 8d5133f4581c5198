"""What the record of a sweep says, by component."""

from __future__ import annotations

from typing import Any, NamedTuple

from cells import table
from unexplained.record import Number, Record
from unexplained.record.ids import walk
from unexplained.record.keys import below


class Joint(NamedTuple):
    """Components together, the sum of each alone, and the difference."""

    together: Number
    summed: Number
    interaction: Number


def block(record: Record, where: str) -> Any:
    """The block of that id."""
    keyed = ((above, b) for above, b in walk(record.blocks) if getattr(b, "key", ""))
    return next(b for above, b in keyed if below(above, b.key) == where)


def by_component(record: Record, name: str, where: str = "alone/effects") -> dict[str, Any]:
    """A column of a table by row, None for what the table does not have."""
    found = table(record, where)
    names = [one.key for one in found.columns]
    at = names.index(name) if name in names else None
    return {row.key: None if at is None else row.cells[at] for row in found.rows}


def fact(record: Record, name: str, where: str = "facts") -> Any:
    """What stands in a list of facts, None where it does not."""
    return by_component(record, "is", where).get(name)


def told(record: Record) -> set[str]:
    """The components that are drawn as told from zero, of the twenty strongest."""
    tracks = block(record, "alone/strongest").tracks
    return {track.name for track in tracks if track.role == "ablation"}


def strongest(record: Record, count: int) -> tuple[set[str], Joint]:
    """The strongest so many, and what they do together."""
    rows = {row.key: row for row in table(record, "together/joints").rows}
    row = rows[f"strongest-{count}"]
    return set(row.note.split()), Joint(*row.cells)


def couples(record: Record) -> dict[frozenset[str], Joint]:
    """Every two that were ablated together."""
    rows = table(record, "together/pairs").rows
    return {frozenset(row.key.split("+")): Joint(*row.cells) for row in rows}
