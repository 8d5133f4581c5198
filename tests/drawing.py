"""Drawers for tests: what a measuring function found is drawn as its instrument shows it."""

from __future__ import annotations

from typing import Any

from unexplained import report
from unexplained.record import KindRecord, Record
from unexplained.report.drawn import Drawn
from unexplained.report.drawn import drawn as drawn_of
from unexplained.study.instrument import as_record


def shown(found: Record | KindRecord) -> Record:
    """The record."""
    return found if isinstance(found, Record) else as_record(found)


def drawn(found: Record | KindRecord) -> Drawn:
    """The record, ready to be drawn."""
    return drawn_of(shown(found))


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
