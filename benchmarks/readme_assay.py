"""One text of an assay as a table for the README."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import records
from unexplained.record import Number, Record
from unexplained.record import format as fmt
from unexplained.record.blocks import Role, Section
from unexplained.report.markdown import line, safe


def sites(record: Record) -> list[str]:
    """The components of an assay."""
    return record.sheet["Sites"].split(", ")


def texts(record: Record) -> Iterator[Section]:
    """The section of each text."""
    return (one for one in records.each(record, Section) if one.key.startswith("text-"))


def size(record: Record, text: Section) -> str:
    """How much was predicted of how many documents."""
    tokens, documents = (
        records.cell(record, f"{text.key}/size/{k}/is") for k in ("tokens", "documents")
    )
    return f"{tokens:,} tokens in {documents} documents"


def counted(record: Record, text: Section) -> list[str]:
    """A paragraph of what the n-gram tables were counted on, where there are any."""
    rows = records.table(record, f"{text.key}/size").rows
    return [f"{row.name}: {row.cells[0]}" for row in rows if row.key == "counted"]


def documents(record: Record, where: str) -> dict[str, int]:
    """By the name of a row: on how many documents it was measured, where that is not all of them."""
    found = records.table(record, where)
    known = {row.key: records.by_column(found, row).get("documents") for row in found.rows}
    return {name: many for name, many in known.items() if isinstance(many, int)}


def markdown_table(record: Record, text: Section, reference: str, *, kinds: Sequence[Role]) -> str:
    """The table of one text: what a row reads, what it costs and what it recovers.

    Args:
        record: The assay.
        text: The section of one text.
        reference: The ablation to measure against.
        kinds: Which kinds of rows to list.

    Returns:
        Lines of Markdown without a final newline. Losses and KL are in nats per token.
    """
    at = f"{text.key}/strata/recurrence"
    strata = records.table(record, at) if records.has(record, at) else None
    labels = [column.key for column in strata.columns] if strata else []
    parts = records.numbers(strata) if strata else {}
    headings = ["row", "reads", "loss increase", f"recovered against {reference}", "KL",
                "variance explained", *(f"where {label}" for label in labels)]  # fmt: skip
    lines = [line([safe(heading) for heading in headings])]
    lines.append(line(["---", "---"] + ["---:"] * (len(headings) - 2)))
    fewer = documents(record, f"{text.key}/recovered/more")
    fractions, losses = (
        records.numbers(records.table(record, f"{text.key}/recovered/{key}"))
        for key in ("fractions", "numbers")
    )
    claims = records.table(record, f"{text.key}/recovered/claims")
    for row in claims.rows:
        if row.role in kinds:
            shares = fractions[row.key]
            few = f" (on {fewer[row.key]:,} of {whole(record, text)})" if row.key in fewer else ""
            lines.append(line([
                safe(row.name + few),
                safe(_reads(records.by_column(claims, row))),
                _number(losses[row.key]["increase"]),
                _number(shares.get(f"against {reference}"), share=True),
                _number(losses[row.key]["kl"]),
                _number(shares.get("variance"), share=True),
                *(_number(parts.get(row.key, {}).get(label), share=True) for label in labels),
            ]))  # fmt: skip
    noted = [safe(words) for words in counted(record, text)] if "baseline" in kinds else []
    return "\n".join([*lines, *(part for words in noted for part in ("", words))])


def whole(record: Record, text: Section) -> str:
    """All documents of a text."""
    return f"{records.cell(record, f'{text.key}/size/documents/is'):,} documents"


def _reads(cells: Mapping[str, object]) -> str:
    return str(cells["reads"] or fmt.MISSING)


def _number(number: Number | None, share: bool | None = None) -> str:
    return str(fmt.show(number, share=share))
