"""Tables as they are drawn: an answer as one, and columns of nothing but refusals as a sentence."""

from __future__ import annotations

from collections.abc import Callable

from unexplained.record import Number
from unexplained.record import format as fmt
from unexplained.record.blocks import Answer, AnswerRow, Cell, Column, Row, Table

MOST_REASONS = 3
"""A column whose numbers were refused for more reasons than these keeps its cells."""


def answered(answer: Answer, find: Callable[[str], Number]) -> Table:
    """An answer's rows and then its denominators, with the numbers that they point at."""

    def written(number: Number, row: AnswerRow) -> Cell:
        # A denominator is in a unit of its own, whatever column it stands in.
        if row not in answer.beside or number.value is None:
            return number
        return f"{fmt.cell(number, row.style)} {fmt.unit(number, row.style)}".rstrip()

    return Table(
        key=answer.key,
        corner=answer.corner,
        columns=answer.columns,
        rows=tuple(
            Row(key=str(i), name=row.name, note=row.note, role=row.role,
                cells=tuple(None if cell is None else written(find(cell), row) for cell in row.cells))
            for i, row in enumerate((*answer.rows, *answer.beside))
        ),
    )  # fmt: skip


def without_refused(table: Table, needed: str = "tokens") -> tuple[Table, str]:
    """A table without the columns in which every number was refused, and what says which and why.

    A list of facts stays as it is: each of its numbers has a line of its own.

    >>> no = Number(value=None, refused="no run of it is known")
    >>> columns = Column(key="loss", heading="Loss"), Column(key="own", heading="Own run")
    >>> row = Row(key="a", name="a", cells=(Number(value=1.0), no))
    >>> table, sentence = without_refused(Table(key="t", columns=columns, rows=(row,)))
    >>> [column.key for column in table.columns], sentence
    (['loss'], '“Own run” is refused in every row: no run of it is known.')
    """
    why: dict[str, list[str]] = {}
    kept = []
    for i, column in enumerate(table.columns):
        reasons = [] if table.facts else _reasons([row.cells[i] for row in table.rows], needed)
        if 0 < len(reasons) <= MOST_REASONS:
            why.setdefault("; or ".join(reasons), []).append(_heading(column))
        else:
            kept.append(i)
    sentence = " ".join(
        f"{_listed(names)} {'are' if len(names) > 1 else 'is'} refused in every row: {reason}."
        for reason, names in why.items()
    )
    if not sentence:
        return table, ""
    rows = (r.model_copy(update={"cells": tuple(r.cells[i] for i in kept)}) for r in table.rows)
    columns = tuple(table.columns[i] for i in kept)
    return table.model_copy(update={"columns": columns, "rows": tuple(rows)}), sentence


def _reasons(cells: list[object], needed: str) -> list[str]:
    """Why every number of a column was refused; nothing where one was not, or there is none."""
    found: dict[str, list[Number]] = {}
    for cell in cells:
        if isinstance(cell, Number) and cell.value is None:
            found.setdefault(cell.refused, []).append(cell)
        elif cell is not None:
            return []
    return [_together(numbers, needed) for numbers in found.values()]


def _together(numbers: list[Number], needed: str) -> str:
    """One reason of several numbers, with the least and the most that it would take."""
    takes = sorted({n.tokens_needed for n in numbers if n.tokens_needed is not None})
    least = fmt.refusal(numbers[0].model_copy(update={"tokens_needed": takes[0]}), needed) if takes \
        else numbers[0].refused  # fmt: skip
    most = f", and in one row {fmt.count(takes[-1])}" if len(takes) > 1 else ""
    return least + most


def _heading(column: Column) -> str:
    return f"{column.group}: {column.heading}" if column.group else column.heading


def _listed(names: list[str]) -> str:
    quoted = [f"“{name}”" for name in names]
    return " and ".join(filter(None, (", ".join(quoted[:-1]), quoted[-1])))
