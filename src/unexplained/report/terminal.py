"""A record as tables for the terminal."""

from __future__ import annotations

import shutil
from io import StringIO

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from unexplained.errors import RecordError
from unexplained.record import (
    AssayRecord,
    Check,
    CircuitRecord,
    Header,
    Number,
    Record,
    Row,
    SweepRecord,
    TextResult,
)
from unexplained.record import format as fmt
from unexplained.report import (
    circuits,
    printed,
    sweeps,
    tables,
    visible,
    weaker,
)
from unexplained.report.drawable import drawable
from unexplained.report.drawn import BLOCKS, drawn
from unexplained.report.printer import Printer

WIDEST = 120
"""Columns beyond which a table only gets harder to read."""
LEAST = 72
"""Columns below which numbers would be cut off: a narrower terminal has to wrap the lines."""
STYLES = {"explanation": "bold", "fitted": "", "intact": "dim", "ablation": "dim"}


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
    if isinstance(record, AssayRecord):
        print_assay(record, console)
    elif isinstance(record, SweepRecord):
        sweeps.print_sweep(record, console)
    elif isinstance(record, CircuitRecord):
        circuits.print_circuit(record, console)
    else:
        raise RecordError(f"A table of {type(record).__name__}", "there is no such table")


def print_assay(record: AssayRecord, console: Console) -> None:
    """Print an assay: verdict, denominators, rows, controls."""
    console.print(printed.plain(record.title, "dim"))
    console.print(printed.plain(record.verdict, "bold"))
    failed = tables.failed(record)
    if failed:
        console.print(
            printed.plain(
                f"{len(failed)} of {len(record.checks)} CONTROLS FAILED: {', '.join(failed)}",
                "bold red",
            )
        )
        console.print(printed.plain(tables.alarm(record)))
    for text in record.texts:
        console.print()
        console.print(_text(text, record, console.width))
    if record.checks:
        console.print()
        console.print(_checks(record.checks))


def _text(text: TextResult, record: AssayRecord, width: int) -> Group:
    """One text: its size, its denominators, its rows and why numbers were refused."""
    head = Text.assemble(
        (visible.line(text.name), "bold underline"),
        f"  {fmt.count(text.tokens)} tokens in {fmt.count(text.documents)} documents",
    )
    parts: list[Text | Table] = [head]
    if text.damage:
        parts.append(_damage(text, record.reference))
    parts.append(_rows(text, record, width))
    if text.reliability is not None:
        parts.append(printed.plain(tables.reliability(text)))
    if text.tables:
        parts.append(printed.plain(tables.counted(text.tables), "dim"))
    if _recurrence(text):
        parts.append(_strata(text, record.reference, width))
    if text.singles:
        parts.append(_singles(text, record.reference))
    if text.context:
        parts.append(printed.plain(_gain(text, record.reference)))
    if text.scale:
        parts += printed.scale(text.scale, _notes(text, record.reference), record.level, width)
    for group in weaker.groups(text):
        if group.whole:
            parts.append(printed.bars(group, _notes(text, record.reference)))
    for (reason, tokens), note in _notes(text, record.reference).items():
        number = Number(value=None, refused=reason, tokens_needed=tokens)
        parts.append(printed.plain(f"[{note}] {fmt.refusal(number)}", "dim"))
    return Group(*parts)


def _damage(text: TextResult, reference: str) -> Table:
    table = tables.plain_table("damage of each ablation (nats per token)")
    table.add_column("ablation")
    table.add_column("damage", justify="right", no_wrap=True)
    table.add_column("")
    for name, damage in text.damage.items():
        notes = ["reference"] * (name == reference)
        notes += ["within noise of zero"] * tables.within_noise(damage)
        table.add_row(
            printed.plain(name),
            printed.noted(damage, _notes(text, reference), str(fmt.show(damage))),
            printed.plain(", ".join(notes)),
        )
    return table


def _rows(text: TextResult, record: AssayRecord, width: int) -> Table:
    notes, narrow = _notes(text, record.reference), width < printed.NARROW
    level = fmt.tick(record.level, share=True)
    table = tables.plain_table(
        f"increase and KL in nats per token; recovered against {record.reference} [{level}]"
    )
    table.add_column("row", min_width=16, overflow="fold")
    if not narrow:
        table.add_column("kind", no_wrap=True)
    for heading in ("increase", "recovered", "KL"):
        table.add_column(heading, justify="right", no_wrap=True)
    if not narrow:
        for heading in ("agreement", *(("right", "method") if width >= WIDEST else ())):
            table.add_column(heading, justify="right", no_wrap=True)
    for row in tables.in_order(text):
        cells = [
            printed.value(row.increase, notes),
            printed.share(row.recovered.get(record.reference), notes, narrow),
            printed.value(row.kl, notes),
        ]
        if not narrow:
            agreement = fmt.show(row.agreement, share=True).value
            right = fmt.show(row.reliability, share=True).value
            cells = [
                printed.plain(row.kind),
                *cells,
                printed.noted(row.agreement, notes, agreement),
            ]
        if width >= WIDEST:
            cells += [printed.noted(row.reliability, notes, right), printed.plain(row.method)]
        table.add_row(
            printed.plain(tables.named(row, text)), *cells, style=STYLES.get(row.kind, "")
        )
    return table


def _strata(text: TextResult, reference: str, width: int) -> Table:
    notes, narrow = _notes(text, reference), width < printed.NARROW
    family = _recurrence(text)[0]
    table = tables.plain_table(f"recovered against {reference}, by {family.name}")
    table.add_column("row", min_width=16, overflow="fold")
    for stratum in family.columns:
        table.add_column(printed.plain(stratum.label), justify="right", overflow="fold")
    table.add_row(printed.plain("tokens", "dim"), *(fmt.count(s.tokens) for s in family.columns))
    table.add_row(
        printed.plain("damage", "dim"), *(printed.value(s.damage, notes) for s in family.columns)
    )
    for row, numbers in _claims(family):
        table.add_row(
            printed.plain(row.name), *(printed.share(number, notes, narrow) for number in numbers)
        )
    return table


def _singles(text: TextResult, reference: str) -> Table:
    """Each component alone: heads that stand in for each other each look harmless."""
    notes = _notes(text, reference)
    table = tables.plain_table(f"each alone: recovered against {reference} of that one alone")
    table.add_column("row", min_width=16, overflow="fold")
    for heading in ("damage", "recovered"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in text.singles:
        table.add_row(
            printed.plain(tables.named(row, text)),
            printed.plain(str(fmt.show(row.damage.get(reference)))),
            printed.share(row.recovered.get(reference), notes, False),
        )
    return table


def _gain(text: TextResult, reference: str) -> str:
    """The gain in context in a line: the intact model's, and what ablation and claims lose of it."""
    context = text.context
    assert context is not None
    kinds = {row.name: row.kind for row in text.rows}
    lost = {
        name: number
        for name, number in context.lost.items()
        if name == reference or kinds.get(name) == "explanation"
    }
    whole = next(iter(context.gain.values()))
    return (
        f"gain in context ({context.early} to {context.late}, nats per token): "
        f"{fmt.show(whole)}; lost of it: "
        + "; ".join(f"{name} {fmt.show(number)}" for name, number in lost.items())
    )


def _checks(checks: tuple[Check, ...]) -> Table:
    table = tables.plain_table("controls")
    for heading in ("control", "text", "expected", "found", ""):
        table.add_column(heading)
    for check in checks:
        found = fmt.show(check.found)
        words = f"refused: {fmt.refusal(check.found)}" if found.refused else str(found)
        table.add_row(
            printed.plain(check.name),
            printed.plain(check.text),
            printed.plain(check.expected),
            printed.plain(words),
            printed.plain("cannot tell", "yellow")
            if not check.applies
            else printed.plain("holds", "green")
            if check.holds
            else printed.plain("FAILED", "bold red"),
        )
    return table


def _notes(text: TextResult, reference: str) -> tables.Notes:
    """Notes for the numbers that these tables show, not for all of the record."""
    shown: list[Number | None] = [*text.damage.values()]
    for row in tables.in_order(text):
        shown += [row.increase, row.recovered.get(reference), row.kl, row.agreement]
        shown.append(row.reliability)
    shown += [row.recovered.get(reference) for row in text.singles]
    shown += weaker.in_short(text)
    for family in _recurrence(text):
        shown += [stratum.damage for stratum in family.columns]
        shown += [number for _, numbers in _claims(family) for number in numbers]
    return tables.refusals(shown)


def _claims(family: tables.Family) -> list[tuple[Row, tuple[Number | None, ...]]]:
    """The rows that claim something; the page has the strata of all."""
    return [item for item in family.rows if item[0].kind in ("explanation", "fitted")]


def _recurrence(text: TextResult) -> list[tables.Family]:
    return [family for family in tables.families(text) if family.name == "recurrence"]
