"""One text of an assay as a table for the README."""

from __future__ import annotations

from collections.abc import Sequence

from unexplained.instruments._assay_rows import in_order, on_few
from unexplained.instruments._assay_strata import families
from unexplained.record import Kind, Number, Row, TextResult
from unexplained.record import format as fmt
from unexplained.record.tables import counted
from unexplained.report.markdown import line, safe

SCORED: tuple[Kind, ...] = ("explanation", "fitted", "baseline", "control", "twin")
"""The kinds of rows that have a score; the intact model and the ablations are the scale."""


def markdown_table(
    text: TextResult,
    *,
    ablations: Sequence[str] | None = None,
    family: str = "recurrence",
    kinds: Sequence[Kind] = SCORED,
) -> str:
    """The table of one text: what a row reads, what it costs and what it recovers.

    Args:
        text: The assay on one text.
        ablations: Which ablations to measure against, in this order; all by default.
        family: Which strata to add as columns, against the record's reference ablation; none if
            the text has no such family.
        kinds: Which kinds of rows to list.

    Returns:
        Lines of Markdown without a final newline. Losses and KL are in nats per token.
    """
    against = tuple(text.damage) if ablations is None else tuple(ablations)
    cut = next((found for found in families(text) if found.name == family), None)
    labels = tuple(s.label for s in cut.columns) if cut else ()
    headings = [
        "row",
        "reads",
        "loss increase",
        *(f"recovered against {name}" for name in against),
        "KL",
        "variance explained",
        *(f"where {label}" for label in labels),
    ]
    lines = [line([safe(heading) for heading in headings])]
    lines.append(line(["---", "---"] + ["---:"] * (len(headings) - 2)))
    for row in in_order(text):
        if row.kind in kinds:
            lines.append(line(_cells(row, text, against, family, labels)))
    return "\n".join([*lines, *(_counted(text) if "baseline" in kinds else ())])


def _counted(text: TextResult) -> tuple[str, ...]:
    """A paragraph of what the n-gram tables were counted on, where that is known."""
    return ("", safe(counted(text.tables))) if text.tables else ()


def _cells(
    row: Row, text: TextResult, against: tuple[str, ...], family: str, labels: tuple[str, ...]
) -> list[str]:
    strata = {s.label: s.recovered for s in row.strata if s.family == family}
    return [
        safe(f"{row.name} ({few})" if (few := on_few(row, text)) else row.name),
        safe(", ".join(row.reads) or fmt.MISSING),
        _number(row.increase),
        *(_number(row.recovered.get(name), share=True) for name in against),
        _number(row.kl),
        _number(row.variance, share=True),
        *(_number(strata.get(label), share=True) for label in labels),
    ]


def _number(number: Number | None, share: bool | None = None) -> str:
    return str(fmt.show(number, share=share))
