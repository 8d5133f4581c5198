"""A record in a notebook: the verdict and the rows, in the notebook's own colours."""

from __future__ import annotations

from unexplained.record import AssayRecord
from unexplained.report.page import environment


def notebook_html(record: AssayRecord) -> str:
    """A fragment of HTML with its own scoped styles; no script.

    For each text: what the reference ablation costs (nats per token) and, for each row, the
    increase in loss, the fraction recovered with its interval, and KL.
    """
    return environment().get_template("notebook.html.j2").render(record=record)
