"""A record in GitHub-flavoured Markdown; one text's rows, bars and compute as tables for a README."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from unexplained.bars import scales, standing
from unexplained.record import Header, Kind, Number, Row, TextResult
from unexplained.record import format as fmt
from unexplained.record.blocks import Block, Cell, Checks, Column, Prose, Section, Style, Table
from unexplained.report import visible
from unexplained.report.drawable import drawable
from unexplained.report.drawn import Notes, drawn
from unexplained.report.shown import assay
from unexplained.report.tables import counted

_SPECIAL = str.maketrans(
    {
        "\\": "\\\\",
        "|": "\\|",
        "`": "\\`",
        "*": "\\*",
        "_": "\\_",
        "[": "\\[",
        "]": "\\]",
        "&": "&amp;",
        "<": "&lt;",
        ">": "&gt;",
    }
)
SCORED: tuple[Kind, ...] = ("explanation", "fitted", "baseline", "control", "twin")
"""The kinds of rows that have a score; the intact model and the ablations are the scale."""


def markdown(record: Header) -> str:
    """A record as GitHub-flavoured Markdown, in full; pictures are on the page.

    Returns:
        Headings, paragraphs and tables, with a final newline.
    """
    with drawable(record):
        given = drawn(record)
        notes = Notes(given.needed)
        parts = [f"# {_safe(record.title)}", f"**{_safe(record.verdict)}**"]
        if given.failed:
            names = ", ".join(f"{check.name} ({check.text})" for check in given.failed)
            parts.append(_safe(f"{len(given.failed)} controls failed: {names}. {given.alarm}"))
        parts += _blocks(given.blocks, notes, 2)
        known = [f"{note}. {_safe(reason)}." for note, reason in notes.items()]
        if known:
            parts.append("\n".join(["Why numbers were refused:", "", *known]))
    return "\n\n".join(parts) + "\n"


def _blocks(blocks: Sequence[Block], notes: Notes, level: int) -> Iterator[str]:
    for block in blocks:
        match block:
            case Section():
                yield f"{'#' * level} {_safe(block.title)}"
                yield from _blocks(block.blocks, notes, level + 1)
            case Prose():
                quoted = block.manner == "quote"
                yield (
                    f"> “{_safe(block.words)}” {_safe(block.source)}"
                    if quoted
                    else _safe(block.words)
                )
            case Table():
                yield from (_safe(words) for words in (block.title, block.caption) if words)
                yield _grid(block, notes)
            case Checks():
                yield from (_safe(words) for words in (block.title, block.caption) if words)
                yield _controls(block, notes)


def _grid(table: Table, notes: Notes) -> str:
    def headed(column: Column) -> str:
        group = f"{column.group}: " if column.group else ""
        return _safe(f"{group}{column.heading} {column.note}".strip())

    lines = [_line([_safe(table.corner), *(headed(column) for column in table.columns)])]
    lines.append(_line(["---", *("---" if c.words else "---:" for c in table.columns)]))
    for row in table.rows:
        name = f"{row.name} ({row.note})" if row.note else row.name
        pairs = zip(row.cells, table.columns, strict=True)
        lines.append(_line([_safe(name), *(_cell(cell, c.style, notes) for cell, c in pairs)]))
    return "\n".join(lines)


def _controls(block: Checks, notes: Notes) -> str:
    lines = [_line(["control", "on", "expected", "found", "holds"]), _line(["---"] * 5)]
    for check in block.checks:
        word = "cannot tell" if not check.applies else "holds" if check.holds else "FAILED"
        said = [_safe(part) for part in (check.name, check.text, check.expected)]
        lines.append(_line([*said, _cell(check.found, "plain", notes), word]))
    return "\n".join(lines)


def _cell(cell: Cell, style: Style, notes: Notes) -> str:
    shown = fmt.cell(cell, style)
    if isinstance(cell, Number) and cell.value is None:
        return f"refused ({notes.of(cell)})"
    return _safe(str(shown)) if isinstance(cell, str) else str(shown)


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
    cut = next((found for found in assay.families(text) if found.name == family), None)
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
    lines = [_line([_safe(heading) for heading in headings])]
    lines.append(_line(["---", "---"] + ["---:"] * (len(headings) - 2)))
    for row in assay.in_order(text):
        if row.kind in kinds:
            lines.append(_line(_cells(row, text, against, family, labels)))
    return "\n".join([*lines, *(_counted(text) if "baseline" in kinds else ())])


def markdown_compute(text: TextResult) -> str:
    """The scale of training compute as a table: what each condition is as good as, and the shares.

    Returns:
        Lines of Markdown without a final newline; empty where the text has no such scale.
    """
    if text.scale is None:
        return ""
    section = scales.compute(text.scale, {})
    return "\n\n".join([*_alone(section, "conditions"), f"{_safe(scales.in_words(text.scale))}."])


def markdown_bars(text: TextResult) -> str:
    """The bars on all tokens as tables: place, fractions recovered and gap scores.

    Weaker models have rows of their own, with their r in the place of the fraction recovered.

    Returns:
        Lines of Markdown without a final newline; empty where the text has none.
    """
    for section in standing.standing(text.bars).blocks:
        if isinstance(section, Section) and not section.folded:
            tables = _alone(section, "recovered", "scores")
            return "\n".join(["\n\n".join(tables), *_counted(text)])
    return ""


def _alone(section: Section, *keys: str) -> list[str]:
    """Tables of a section, and why numbers in them were refused."""
    notes = Notes()
    tables = [block for block in section.blocks if isinstance(block, Table) and block.key in keys]
    grids = [_grid(table, notes) for table in tables]
    reasons = [f"{note}. {_safe(reason)}." for note, reason in notes.items()]
    return [*grids, *["\n".join(reasons)] * bool(reasons)]


def _counted(text: TextResult) -> tuple[str, ...]:
    """A paragraph of what the n-gram tables were counted on, where that is known."""
    return ("", _safe(counted(text.tables))) if text.tables else ()


def _cells(
    row: Row, text: TextResult, against: tuple[str, ...], family: str, labels: tuple[str, ...]
) -> list[str]:
    strata = {s.label: s.recovered for s in row.strata if s.family == family}
    return [
        _safe(f"{row.name} ({few})" if (few := assay.on_few(row, text)) else row.name),
        _safe(", ".join(row.reads) or fmt.MISSING),
        _number(row.increase),
        *(_number(row.recovered.get(name), share=True) for name in against),
        _number(row.kl),
        _number(row.variance, share=True),
        *(_number(strata.get(label), share=True) for label in labels),
    ]


def _number(number: Number | None, share: bool | None = None) -> str:
    return str(fmt.show(number, share=share))


def _safe(words: str) -> str:
    return visible.line(words).translate(_SPECIAL)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
