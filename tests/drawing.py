"""Drawers for tests: what a measuring function found is drawn as its instrument shows it."""

from __future__ import annotations

from typing import Any

from unexplained import report
from unexplained.record import KindRecord, Record
from unexplained.record.blocks import Block, Chart, Row, Section, Table, walk
from unexplained.report import plots
from unexplained.report.drawn import Drawn
from unexplained.report.drawn import drawn as drawn_of
from unexplained.report.pen import Pen
from unexplained.study.instrument import as_record


def shown(found: Record | KindRecord) -> Record:
    """The record."""
    return found if isinstance(found, Record) else as_record(found)


def drawn(found: Record | KindRecord) -> Drawn:
    """The record, ready to be drawn."""
    return drawn_of(shown(found))


def one_block(found: Record | KindRecord, key: str) -> tuple[str, Block]:
    """A block by its key, and where it stands."""
    return next((a, b) for a, b in walk(shown(found).blocks) if getattr(b, "key", "") == key)


def keys_of(found: Record | KindRecord) -> list[str]:
    """The keys of all blocks, in order."""
    return [getattr(block, "key", "") for _, block in walk(shown(found).blocks)]


def table_of(found: Record | KindRecord, key: str) -> dict[str, Row]:
    """The rows of a table by their keys."""
    _, block = one_block(found, key)
    assert isinstance(block, Table)
    return {row.key: row for row in block.rows}


def words_in(found: Record | KindRecord, key: str) -> str:
    """The words of a section's own paragraphs."""
    _, block = one_block(found, key)
    assert isinstance(block, Section)
    return " ".join(getattr(one, "words", "") for one in block.blocks)


def plot_of(found: Record | KindRecord, key: str = "chart") -> plots.ChartPlot | None:
    """A chart, placed."""
    above, block = one_block(found, key)
    assert isinstance(block, Chart)
    return Pen(drawn(found)).plot(block, above)


def render(found: Record | KindRecord) -> str:
    """The page."""
    return report.render(shown(found))


def text_table(found: Record | KindRecord, **how: Any) -> str:
    """The terminal."""
    return report.text_table(shown(found), **how)


def notebook_html(found: Record | KindRecord) -> str:
    """The notebook."""
    return report.notebook_html(shown(found))


def markdown(found: Record | KindRecord) -> str:
    """Markdown."""
    return report.markdown(shown(found))


def write_report(found: Record | KindRecord, path: Any) -> Any:
    """The page as a file."""
    return report.write_report(shown(found), path)
