"""Cells of a record by their ids, for tests of what was measured."""

from __future__ import annotations

from typing import Any

from unexplained.record import Record
from unexplained.record.blocks import Table
from unexplained.record.ids import walk
from unexplained.record.keys import below


def table(record: Record, where: str) -> Table:
    """The table of that id."""
    tables = ((above, b) for above, b in walk(record.blocks) if isinstance(b, Table))
    return next(b for above, b in tables if below(above, b.key) == where)


def column(record: Record, where: str, key: str) -> list[Any]:
    """A column of a table, from the first row to the last."""
    found = table(record, where)
    at = [c.key for c in found.columns].index(key)
    return [row.cells[at] for row in found.rows]


def cell(record: Record, where: str) -> Any:
    """What stands in a cell: a number, a count, words, or nothing."""
    home, row, key = where.rsplit("/", 2)
    found = table(record, home)
    return column(record, home, key)[[r.key for r in found.rows].index(row)]
