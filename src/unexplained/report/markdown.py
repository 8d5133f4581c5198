"""A record in GitHub-flavoured Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from unexplained import visible
from unexplained.record import Number, Record
from unexplained.record import format as fmt
from unexplained.record.blocks import Block, Cell, Checks, Column, Prose, Section, Style, Table
from unexplained.report.drawable import drawable
from unexplained.report.drawn import Notes, drawn
from unexplained.report.tables import without_refused

_SPECIAL = str.maketrans(
    {
        "\\": "\\\\",
        "|": "\\|",
        "`": "\\`",
        "*": "\\*",
        "_": "\\_",
        "[": "\\[",
        "]": "\\]",
        "&": "&amp;",
        "<": "&lt;",
        ">": "&gt;",
    }
)


def markdown(record: Record) -> str:
    """A record as GitHub-flavoured Markdown, in full; pictures are on the page.

    Returns:
        Headings, paragraphs and tables, with a final newline.
    """
    with drawable(record):
        given = drawn(record)
        notes = Notes(given.record.needed)
        parts = [f"# {safe(record.title)}", f"**{safe(record.verdict)}**"]
        if given.failed:
            names = ", ".join(f"{check.name} ({check.text})" for check in given.failed)
            parts.append(safe(f"{len(given.failed)} controls failed: {names}. {given.alarm}"))
        parts += _blocks(given.record.blocks, notes, 2)
        known = [f"{note}. {safe(reason)}." for note, reason in notes.items()]
        if known:
            parts.append("\n".join(["Why numbers were refused:", "", *known]))
    return "\n\n".join(parts) + "\n"


def _blocks(blocks: Sequence[Block], notes: Notes, level: int) -> Iterator[str]:
    for block in blocks:
        match block:
            case Section():
                yield f"{'#' * level} {safe(block.title)}"
                yield from _blocks(block.blocks, notes, level + 1)
            case Prose():
                quoted = block.manner == "quote"
                yield (
                    f"> “{safe(block.words)}” {safe(block.source)}" if quoted else safe(block.words)
                )
            case Table():
                yield from (safe(words) for words in (block.title, block.caption) if words)
                table, refused = without_refused(block, notes.needed)
                if table.columns:
                    yield _grid(table, notes)
                if refused:
                    yield safe(refused)
            case Checks():
                yield from (safe(words) for words in (block.title, block.caption) if words)
                yield _controls(block, notes)


def _grid(table: Table, notes: Notes) -> str:
    def headed(column: Column) -> str:
        group = f"{column.group}: " if column.group else ""
        return safe(f"{group}{column.heading} {column.note}".strip())

    lines = [line([safe(table.corner), *(headed(column) for column in table.columns)])]
    lines.append(line(["---", *("---" if c.words else "---:" for c in table.columns)]))
    for row in table.rows:
        name = f"{row.name} ({row.note})" if row.note else row.name
        pairs = zip(row.cells, table.columns, strict=True)
        lines.append(line([safe(name), *(_cell(cell, c.style, notes) for cell, c in pairs)]))
    return "\n".join(lines)


def _controls(block: Checks, notes: Notes) -> str:
    lines = [line(["control", "on", "expected", "found", "holds"]), line(["---"] * 5)]
    for check in block.checks:
        word = "cannot tell" if not check.applies else "holds" if check.holds else "FAILED"
        said = [safe(part) for part in (check.name, check.text, check.expected)]
        lines.append(line([*said, _cell(check.found, "plain", notes), word]))
    return "\n".join(lines)


def _cell(cell: Cell, style: Style, notes: Notes) -> str:
    shown = fmt.cell(cell, style)
    if isinstance(cell, Number) and cell.value is None:
        return f"refused ({notes.of(cell)})"
    if isinstance(cell, Number) and cell.unsaid:
        return f"{shown} ({notes.of(cell)})"
    return safe(str(shown)) if isinstance(cell, str) else str(shown)


def safe(words: str) -> str:
    """Words of any origin for a cell or a paragraph."""
    return visible.line(words).translate(_SPECIAL)


def line(cells: Sequence[str]) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"
