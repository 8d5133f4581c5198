"""Records drawn: as a page, as a table in the terminal, in a notebook and in Markdown. No torch."""

from unexplained.report.markdown import markdown_bars, markdown_compute, markdown_table
from unexplained.report.notebook import notebook_html
from unexplained.report.page import render, write_report
from unexplained.report.terminal import print_record, text_table

__all__ = [
    "markdown_bars",
    "markdown_compute",
    "markdown_table",
    "notebook_html",
    "print_record",
    "render",
    "text_table",
    "write_report",
]
