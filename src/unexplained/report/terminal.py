"""A record as tables for the terminal."""

from __future__ import annotations

import shutil
from io import StringIO

from rich.console import Console

from unexplained.errors import RecordError
from unexplained.record import (
    FamilyRecord,
    Header,
    Record,
    RewriteRecord,
    SizesRecord,
    TasksRecord,
)
from unexplained.report import (
    families,
    narrow,
    rewrites,
    sizes,
)
from unexplained.report.drawable import drawable
from unexplained.report.drawn import BLOCKS, drawn
from unexplained.report.printer import Printer

WIDEST = 120
"""Columns beyond which a table only gets harder to read."""
LEAST = 72
"""Columns below which numbers would be cut off: a narrower terminal has to wrap the lines."""


def text_table(record: Header, *, full: bool = False) -> str:
    """What `print(record)` shows: plain text, no colour; with `full`, all of it.

    It is as wide as the terminal, from 72 to 120 columns; where the output is not a terminal it is 120 columns wide.
    """
    out = StringIO()
    width = min(max(shutil.get_terminal_size((WIDEST, 24)).columns, LEAST), WIDEST)
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


def print_record(record: Header, console: Console, *, full: bool = False) -> None:
    """Print a record of any kind.

    Args:
        record: What to print.
        console: Where.
        full: All of it, with what is folded on the page.

    Raises:
        RecordError: It is of no known kind, or its numbers cannot be drawn.
    """
    with drawable(record):
        if isinstance(record, Record) or getattr(record, "kind", "") in BLOCKS:
            Printer(drawn(record), console, full=full).record()
        else:
            _print(record, console)


def _print(record: Header, console: Console) -> None:
    if isinstance(record, RewriteRecord):
        rewrites.print_rewrite(record, console)
    elif isinstance(record, SizesRecord):
        sizes.print_sizes(record, console)
    elif isinstance(record, FamilyRecord):
        families.print_family(record, console)
    elif isinstance(record, TasksRecord):
        narrow.print_tasks(record, console)
    else:
        raise RecordError(f"A table of {type(record).__name__}", "there is no such table")
