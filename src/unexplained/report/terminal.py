"""A record as tables for the terminal."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from io import StringIO

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from unexplained.errors import RecordError
from unexplained.record import (
    AssayRecord,
    Check,
    CircuitRecord,
    Number,
    Record,
    Row,
    Scale,
    SweepRecord,
    TextResult,
)
from unexplained.report import circuits, compute, sweeps, tables, visible, weaker
from unexplained.report import format as fmt

WIDEST = 120
"""Columns beyond which a table only gets harder to read."""
LEAST = 72
"""Columns below which numbers would be cut off: a narrower terminal has to wrap the lines."""
NARROW = 96
"""Columns below which intervals go to a line of their own and some columns are left out."""
STYLES = {"explanation": "bold", "fitted": "", "intact": "dim", "ablation": "dim"}


def text_table(record: Record) -> str:
    """What `print(record)` shows: plain text, no colour.

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
    print_record(record, console)
    return "\n".join(part.rstrip() for part in out.getvalue().splitlines())


def print_record(record: Record, console: Console) -> None:
    """Print a record of any kind."""
    if isinstance(record, AssayRecord):
        print_assay(record, console)
    elif isinstance(record, SweepRecord):
        sweeps.print_sweep(record, console)
    elif isinstance(record, CircuitRecord):
        circuits.print_circuit(record, console)
    else:
        raise RecordError(f"A table of a record of kind '{record.kind}'", "there is no such table")


def print_assay(record: AssayRecord, console: Console) -> None:
    """Print an assay: verdict, denominators, rows, controls."""
    console.print(_plain(record.title, "dim"))
    console.print(_plain(record.verdict, "bold"))
    failed = tables.failed(record)
    if failed:
        console.print(
            _plain(
                f"{len(failed)} of {len(record.checks)} CONTROLS FAILED: {', '.join(failed)}",
                "bold red",
            )
        )
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
    if _recurrence(text):
        parts.append(_strata(text, record.reference, width))
    if text.singles:
        parts.append(_singles(text, record.reference))
    if text.context:
        parts.append(_plain(_gain(text, record.reference)))
    if text.scale:
        parts += _scale(text.scale, _notes(text, record.reference), record.level, width)
    for group in weaker.groups(text):
        if group.whole:
            parts.append(_bars(group, _notes(text, record.reference)))
    for (reason, tokens), note in _notes(text, record.reference).items():
        number = Number(value=None, refused=reason, tokens_needed=tokens)
        parts.append(_plain(f"[{note}] {fmt.refusal(number)}", "dim"))
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
            _plain(name),
            _noted(damage, _notes(text, reference), str(fmt.show(damage))),
            _plain(", ".join(notes)),
        )
    return table


def _rows(text: TextResult, record: AssayRecord, width: int) -> Table:
    notes, narrow = _notes(text, record.reference), width < NARROW
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
        table.add_column("agreement", justify="right", no_wrap=True)
    for row in tables.in_order(text):
        cells = [
            _value(row.increase, notes),
            _share(row.recovered.get(record.reference), notes, narrow),
            _value(row.kl, notes),
        ]
        if not narrow:
            agreement = fmt.show(row.agreement, share=True).value
            cells = [_plain(row.kind), *cells, _noted(row.agreement, notes, agreement)]
        table.add_row(_plain(row.name), *cells, style=STYLES.get(row.kind, ""))
    return table


def _strata(text: TextResult, reference: str, width: int) -> Table:
    notes, narrow = _notes(text, reference), width < NARROW
    family = _recurrence(text)[0]
    table = tables.plain_table(f"recovered against {reference}, by {family.name}")
    table.add_column("row", min_width=16, overflow="fold")
    for stratum in family.columns:
        table.add_column(_plain(stratum.label), justify="right", overflow="fold")
    table.add_row(_plain("tokens", "dim"), *(fmt.count(s.tokens) for s in family.columns))
    table.add_row(_plain("damage", "dim"), *(_value(s.damage, notes) for s in family.columns))
    for row, numbers in _claims(family):
        table.add_row(_plain(row.name), *(_share(number, notes, narrow) for number in numbers))
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
            _plain(row.name),
            _plain(str(fmt.show(row.damage.get(reference)))),
            _share(row.recovered.get(reference), notes, False),
        )
    return table


def _scale(scale: Scale, notes: tables.Notes, level: float, width: int) -> list[Text | Table]:
    """What training compute would buy each loss, and what share that is of the model's."""
    narrow = width < NARROW
    table = tables.plain_table(
        f"as good as a model trained with so many FLOPs [{fmt.tick(level, share=True)}], and shares"
    )
    table.add_column("condition", min_width=10, overflow="fold")
    table.add_column("FLOPs", justify="right", no_wrap=True)
    for _, heading, _ in weaker.SHARES:
        table.add_column(heading.lower().removesuffix(" share"), justify="right", min_width=7)
    for one in compute.everyone(scale):
        shown = fmt.compute(one.equals)
        words = shown.value if narrow else str(shown)
        words += " *" * compute.extrapolated(one, scale.law)
        table.add_row(
            _plain(weaker.named(one, scale)),
            _noted(one.equals, notes, words),
            *(_portion(one.shares.get(kind), notes) for kind, _, _ in weaker.SHARES),
            style="dim" if one is scale.subject else "",
        )
    far = any(compute.extrapolated(one, scale.law) for one in compute.everyone(scale))
    lines = [weaker.law(scale), *["* extrapolated"] * far, weaker.held(scale)]
    return [table, *(_plain(line, "dim") for line in lines if line)]


def _bars(group: weaker.Group, notes: tables.Notes) -> Table:
    """Where each condition stands among baselines and weaker models; the page has intervals."""
    table = tables.plain_table("against baselines and weaker models; no bar is a pass mark")
    table.add_column("condition", min_width=12, overflow="fold", ratio=3)
    if group.rungs:
        table.add_column("place", overflow="fold", ratio=3)
    table.add_column("recovered against", overflow="fold", ratio=4)
    if group.rungs:
        table.add_column("gap score against", overflow="fold", ratio=4)

    def several(items: Iterable[tuple[str, Number]]) -> Text:
        cells = (Text.assemble(_plain(name), " ", _share_only(n, notes)) for name, n in items)
        return Text(", ").join(cells)

    for bars in group.bars:
        cells = [_plain(bars.condition)]
        if group.rungs:
            cells.append(_plain(bars.place.place if bars.place else fmt.MISSING))
        cells.append(several((one.baseline, one.recovered) for one in bars.baselines))
        if group.rungs:
            cells.append(several((one.rung, one.score) for one in bars.rungs))
        table.add_row(*cells)
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
            _plain(check.name),
            _plain(check.text),
            _plain(check.expected),
            _plain(words),
            _plain("holds", "green") if check.holds else _plain("FAILED", "bold red"),
        )
    return table


def _value(number: Number | None, notes: tables.Notes) -> Text:
    """The value alone, or `refused` with its note's number."""
    return _noted(number, notes, fmt.show(number).value)


def _share(number: Number | None, notes: tables.Notes, narrow: bool) -> Text:
    """A share with its interval, or `refused` with its note's number."""
    shown = fmt.show(number, share=True)
    if narrow and shown.interval:
        return Text("\n").join((_plain(shown.value), _plain(shown.interval)))
    return _noted(number, notes, str(shown))


def _share_only(number: Number, notes: tables.Notes) -> Text:
    """A share without its interval, or `refused` with its note's number."""
    return _noted(number, notes, fmt.show(number, share=True).value)


def _portion(number: Number | None, notes: tables.Notes) -> Text:
    """A share of any order of magnitude, without its interval."""
    return _noted(number, notes, fmt.portion(number).value)


def _noted(number: Number | None, notes: tables.Notes, words: str) -> Text:
    if number is None or number.value is not None:
        return _plain(words)
    return _plain(f"{words} [{notes[number.refused, number.tokens_needed]}]", "italic")


def _notes(text: TextResult, reference: str) -> tables.Notes:
    """Notes for the numbers that these tables show, not for all of the record."""
    shown: list[Number | None] = [*text.damage.values()]
    for row in tables.in_order(text):
        shown += [row.increase, row.recovered.get(reference), row.kl, row.agreement]
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


def _plain(words: str, style: str = "") -> Text:
    """Text as it is: no markup is read from it, and it cannot steer the terminal."""
    return Text(visible.line(words).replace(fmt.MINUS, "-"), style=style)
