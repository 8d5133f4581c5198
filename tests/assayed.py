"""What the record of an assay says, for tests that measured one."""

from __future__ import annotations

from typing import Any

from unexplained.record import Check, Number, Record
from unexplained.record.blocks import Checks, Table
from unexplained.record.ids import walk
from unexplained.record.keys import below


def tables_of(record: Record) -> dict[str, Table]:
    """Every table by its id."""
    return {below(above, b.key): b for above, b in walk(record.blocks) if isinstance(b, Table)}


def of_row(record: Record, row: str, column: str, text: int = 1) -> Number:
    """A number of a row, by its column: `loss`, `increase`, `variance`, `against mean`."""
    places = [f"text-{text}/recovered/{table}/{row}/{column}"
              for table in ("fractions", "numbers", "more")]  # fmt: skip
    known = dict(record.numbers())
    return next(known[place] for place in places if place in known)


def rows_of(record: Record, text: int = 1) -> dict[str, str]:
    """The rows of a text and their roles."""
    return {row.name: row.role for row in tables_of(record)[f"text-{text}/recovered/numbers"].rows}


def checks_of(record: Record) -> tuple[Check, ...]:
    """The controls of all texts."""
    return next(block.checks for _, block in walk(record.blocks) if isinstance(block, Checks))


def sizes_of(record: Record, text: int = 1) -> dict[str, object]:
    """How much was measured of a text, and what stands beside."""
    return {row.key: row.cells[0] for row in tables_of(record)[f"text-{text}/size"].rows}


def said_of(record: Record, row: str) -> dict[str, Any]:
    """What a row claims and `reads`, and its length: `bits`, of them `code`, `parameters`, `lent`."""
    table = tables_of(record)["text-1/recovered/claims"]
    (found,) = (one for one in table.rows if one.name == row)
    return {c.key: cell for c, cell in zip(table.columns, found.cells, strict=True)}
