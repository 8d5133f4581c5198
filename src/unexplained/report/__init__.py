"""Records drawn: as a page, as a table in the terminal, in a notebook and in Markdown. No torch."""

from typing import TYPE_CHECKING

from unexplained.lazy import face as _face

if TYPE_CHECKING:
    from unexplained.report.markdown import markdown as markdown
    from unexplained.report.notebook import notebook_html as notebook_html
    from unexplained.report.page import render as render
    from unexplained.report.page import write_report as write_report
    from unexplained.report.terminal import print_record as print_record
    from unexplained.report.terminal import print_table as print_table
    from unexplained.report.terminal import text_table as text_table

_HOMES = {
    "markdown": ("markdown",),
    "notebook": ("notebook_html",),
    "page": ("render", "write_report"),
    "terminal": ("print_record", "print_table", "text_table"),
}

__all__ = sorted(name for names in _HOMES.values() for name in names)
__getattr__, __dir__ = _face(__name__, _HOMES)
