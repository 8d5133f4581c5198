"""A record in a notebook: verdict, failed controls and the answer, in the notebook's colours."""

from __future__ import annotations

from unexplained.record import Record
from unexplained.report.drawable import drawable
from unexplained.report.drawn import drawn
from unexplained.report.page import environment
from unexplained.report.pen import Pen


def notebook_html(record: Record) -> str:
    """A fragment of HTML with its own scoped styles; no script and no pictures.

    Why numbers were refused stands below them, and where the rest is.

    Raises:
        RecordError: Its numbers cannot be drawn.
    """
    with drawable(record):
        pen = Pen(drawn(record))
        return environment().get_template("notebook.html.j2").render(drawn=pen.drawn, pen=pen)
