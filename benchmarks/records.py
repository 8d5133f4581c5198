"""Records of format 2 as the README's tables read them: blocks by their place, cells by row and column."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from unexplained.record import Number, Record, load_record
from unexplained.record.blocks import Attention, Block, Cell, Prose, Row, Section, Table, Tokens
from unexplained.record.ids import walk
from unexplained.record.keys import below

Kept = TypeVar("Kept", bound=Block)
WORDS = (Tokens, Attention)
"""Blocks that hold the words of documents."""


def chosen(about: str | None, names: Iterable[str]) -> Sequence[str]:
    """The records that the command line asks for, by name; all where it names none."""
    known = tuple(names)
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("names", nargs="*", help=", ".join(known))
    asked: list[str] = parser.parse_args().names
    if unknown := set(asked) - set(known):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    return asked or known


def read(path: Path, instrument: str) -> Record:
    """A record that must be of one instrument."""
    record = load_record(path)
    if record.instrument != instrument:
        raise SystemExit(f"{path} is a record of {record.instrument}; {instrument} was asked for")
    return record


def each(record: Record, kind: type[Kept], above: str = "") -> Iterator[Kept]:
    """The blocks of one type that stand directly in a section."""
    for home, block in walk(record.blocks):
        if home == above and isinstance(block, kind):
            yield block


def table(record: Record, where: str) -> Table:
    """A table by its id: the keys of the sections that it stands in, and its own."""
    for home, block in walk(record.blocks):
        if isinstance(block, Table) and below(home, block.key) == where:
            return block
    raise SystemExit(f"the {record.instrument} '{record.title}' has no table '{where}'")


def has(record: Record, where: str) -> bool:
    """Whether there is a block of that id."""
    every = ((home, b) for home, b in walk(record.blocks) if not isinstance(b, Prose))
    return any(below(home, block.key) == where for home, block in every)


def by_column(found: Table, row: Row) -> dict[str, Cell]:
    """The cells of a row by their columns' keys."""
    return {column.key: cell for column, cell in zip(found.columns, row.cells, strict=True)}


def cell(record: Record, where: str) -> Any:
    """What stands in a cell, by its id: a number, a count, words, or nothing."""
    place, row, column = where.rsplit("/", 2)
    found = table(record, place)
    for one in found.rows:
        if one.key == row:
            return by_column(found, one)[column]
    raise SystemExit(f"the {record.instrument} '{record.title}' has no cell '{where}'")


def number(found: Cell) -> Number | None:
    """A cell that is a number or nothing."""
    if found is None or isinstance(found, Number):
        return found
    raise SystemExit(f"a number was asked for where {found!r} stands")


def numbers(found: Table) -> dict[str, dict[str, Number]]:
    """The numbers of a table by row and column."""
    return {
        row.key: {k: c for k, c in by_column(found, row).items() if isinstance(c, Number)}
        for row in found.rows
    }


def changed(record: Record, change: Callable[[str, Block], Block | None]) -> Record:
    """The record with every block changed, or left out where nothing comes of it.

    Args:
        record: The record.
        change: Is given the id of a block's section and the block; sections before what is in them.
    """

    def through(blocks: Iterable[Block], above: str) -> Iterator[Block]:
        for block in blocks:
            new = change(above, block)
            if isinstance(new, Section):
                inside = tuple(through(new.blocks, below(above, new.key)))
                new = new.model_copy(update={"blocks": inside})
            if new is not None:
                yield new

    held = record.model_dump() | {"blocks": tuple(through(record.blocks, ""))}
    return Record.model_validate(held)


def without_words(record: Record) -> Record:
    """The record without what shows documents of others: the token view, a head's attention."""
    return changed(record, lambda above, block: None if isinstance(block, WORDS) else block)
