"""A record in a notebook: verdict, failed controls and what is not folded, in the notebook's colours."""

from __future__ import annotations

from markupsafe import escape

from unexplained.record import Header, Record
from unexplained.report.drawable import drawable
from unexplained.report.drawn import BLOCKS, drawn
from unexplained.report.page import environment
from unexplained.report.pen import Pen
from unexplained.report.terminal import text_table


def notebook_html(record: Header) -> str:
    """A fragment of HTML with its own scoped styles; no script and no pictures.

    Why numbers were refused stands below them.

    Raises:
        RecordError: Its numbers cannot be drawn.
    """
    if not isinstance(record, Record) and getattr(record, "kind", "") not in BLOCKS:
        return f"<pre>{escape(text_table(record))}</pre>"
    with drawable(record):
        pen = Pen(drawn(record))
        return environment().get_template("notebook.html.j2").render(drawn=pen.drawn, pen=pen)
