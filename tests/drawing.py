"""Blocks of a record by their keys."""

from __future__ import annotations

from unexplained.record import Record
from unexplained.record.blocks import Block, Chart, Row, Section, Table
from unexplained.record.ids import walk
from unexplained.report import plots
from unexplained.report.drawn import drawn
from unexplained.report.pen import Pen


def one_block(found: Record, key: str) -> tuple[str, Block]:
    """A block by its key, and where it stands."""
    return next((a, b) for a, b in walk(found.blocks) if getattr(b, "key", "") == key)


def keys_of(found: Record) -> list[str]:
    """The keys of all blocks, in order."""
    return [getattr(block, "key", "") for _, block in walk(found.blocks)]


def table_of(found: Record, key: str) -> dict[str, Row]:
    """The rows of a table by their keys."""
    _, block = one_block(found, key)
    assert isinstance(block, Table)
    return {row.key: row for row in block.rows}


def words_in(found: Record, key: str) -> str:
    """The words of a section's own paragraphs."""
    _, block = one_block(found, key)
    assert isinstance(block, Section)
    return " ".join(getattr(one, "words", "") for one in block.blocks)


def plot_of(found: Record, key: str = "chart") -> plots.ChartPlot | None:
    """A chart, placed."""
    above, block = one_block(found, key)
    assert isinstance(block, Chart)
    return Pen(drawn(found)).plot(block, above)
