"""Blocks walked through: every number under its id, what pictures point at, and whether they hold together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from unexplained.record.base import Number
from unexplained.record.blocks import (
    Answer,
    Block,
    Chart,
    Checks,
    Compute,
    Forest,
    Grid,
    Network,
    Prose,
    Section,
    Table,
)
from unexplained.record.keys import Reference, below


def walk(blocks: Iterable[Block], above: str = "") -> Iterator[tuple[str, Block]]:
    """Every block with the id of the section that it stands in, in order, sections before theirs."""
    for block in blocks:
        yield above, block
        if isinstance(block, Section):
            yield from walk(block.blocks, below(above, block.key))


def cells(blocks: Iterable[Block]) -> Iterator[tuple[str, Number]]:
    """Every number with its id, in the order in which they are shown."""
    for above, block in walk(blocks):
        if isinstance(block, Table):
            home = below(above, block.key)
            for row in block.rows:
                for column, cell in zip(block.columns, row.cells, strict=True):
                    if isinstance(cell, Number):
                        yield f"{home}/{row.key}/{column.key}", cell
        elif isinstance(block, Checks):
            yield from ((where, check.found) for where, check in block.found(above))


def references(block: Block) -> Iterator[Reference]:
    """Every cell that a picture points at."""
    match block:
        case Answer():
            rows = (*block.rows, *block.beside)
            yield from (cell for row in rows for cell in row.cells if cell is not None)
        case Forest():
            for track in block.tracks:
                yield from (*track.marks, *track.others)
        case Grid():
            yield from (cell for row in block.rows for cell in row.cells if cell is not None)
            yield from block.framed
        case Network():
            yield from (link.weight for link in block.links)
        case Chart():
            points = (point for series in block.series for point in series.points)
            yield from (end for p in points for end in (p.x, p.y) if isinstance(end, str))
            yield from (level.y for level in block.levels)
        case Compute():
            for one in (*block.rungs, *block.conditions):
                yield one.loss
                if isinstance(one.compute, str):
                    yield one.compute


def require_whole(blocks: Iterable[Block]) -> dict[str, Number]:
    """Every number by its id, if the blocks hold together.

    Raises:
        ValueError: Two numbers or two blocks have one id; a row has more or fewer cells than its
            table has columns; a picture points at no number.
    """
    blocks = tuple(blocks)
    homes: set[str] = set()
    for above, block in walk(blocks):
        if isinstance(block, Prose):
            continue
        if isinstance(block, Answer) and (above or block is not blocks[0]):
            raise ValueError("an answer stands first in a record, and once")
        home = below(above, block.key)
        if home in homes:
            raise ValueError(f"two blocks have the id '{home}'")
        homes.add(home)
        if isinstance(block, Table):
            wrong = [r.key for r in block.rows if len(r.cells) != len(block.columns)]
            if wrong:
                raise ValueError(f"row '{wrong[0]}' of '{home}' has not one cell for each column")
    for block in blocks[:1]:
        if isinstance(block, Answer):
            _require_answer(block, homes)
    numbers: dict[str, Number] = {}
    for where, number in cells(blocks):
        if where in numbers:
            raise ValueError(f"two numbers have the id '{where}'")
        numbers[where] = number
    for above, block in walk(blocks):
        for reference in references(block):
            if below(above, reference) not in numbers:
                raise ValueError(f"a picture points at '{below(above, reference)}': no number")
    return numbers


def _require_answer(answer: Answer, homes: set[str]) -> None:
    """Every row has a cell for each column, and the picture is there."""
    for row in (*answer.rows, *answer.beside):
        if len(row.cells) != len(answer.columns):
            raise ValueError(f"row '{row.name}' of the answer has not one cell for each column")
    if answer.picture and answer.picture not in homes:
        raise ValueError(f"the answer's picture '{answer.picture}' is no block")
