"""A record as tables for the terminal."""

from __future__ import annotations

import shutil
from io import StringIO

from rich.console import Console

from unexplained.record import Record
from unexplained.record.blocks import Table
from unexplained.report.drawable import drawable
from unexplained.report.drawn import drawn
from unexplained.report.printer import Printer, Tables

WIDEST = 120
"""Columns beyond which a table only gets harder to read."""
LEAST = 60
"""Columns below which numbers would be cut off: a narrower terminal has to wrap the lines."""


def text_table(record: Record, *, full: bool = False, columns: int | None = None) -> str:
    """What `print(record)` shows: plain text, no colour; with `full`, all of it.

    It has 60 to 120 columns: by default those of the terminal, and 120 where the output is none.

    Args:
        record: What an instrument gave.
        full: All of the record, not its answer alone.
        columns: How wide; None as the terminal is.
    """
    out = StringIO()
    columns = columns or shutil.get_terminal_size((WIDEST, 24)).columns
    width = min(max(columns, LEAST), WIDEST)
    console = Console(
        file=out,
        width=width,
        color_system=None,
        force_terminal=False,
        force_jupyter=False,
        legacy_windows=False,
        _environ={},
    )
    print_record(record, console, full=full)
    return "\n".join(part.rstrip() for part in out.getvalue().splitlines())


def print_record(
    record: Record,
    console: Console,
    *,
    full: bool = False,
    quiet: bool = False,
    section: str = "",
) -> None:
    """Print a record of any kind.

    Args:
        record: What to print.
        console: Where.
        full: All of it, with what is folded on the page.
        quiet: The verdict and failed controls alone.
        section: All of this section alone, by its title or id.

    Raises:
        RecordError: It is of no known kind, its numbers cannot be drawn, or it has no such section.
    """
    with drawable(record):
        printer = Printer(drawn(record), console, full=full)
        if section:
            printer.section(section)
        elif quiet:
            printer.verdict()
        else:
            printer.record()


def print_table(table: Table, console: Console) -> None:
    """Print a table that belongs to no record, and why numbers in it were refused.

    Args:
        table: A block with rows and columns.
        console: Where it is printed.
    """
    printer = Tables(console)
    printer.table(table)
    printer.reasons()
