"""A rewriting in words and tables: what is in place, what it costs, and what it is held against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from rich.console import Console
from rich.table import Table

from unexplained.record import Bars, Explained, Number, RewriteRecord, Scale
from unexplained.record import format as fmt
from unexplained.record.rewrite import BreakEven, Choice, ProgramRow, Step
from unexplained.report import printed, tables, weaker

MANY = 24
"""Components beyond which the page folds their list, and the terminal stops."""
FIRST, CELL = 8, 30
"""Columns of the terminal for a count, and for an order's losses."""


@dataclass(frozen=True)
class Named:
    """A condition with its kind, which gives it its colour."""

    name: str
    kind: str


@dataclass(frozen=True)
class Measured:
    """The whole rewriting as the sections of bars and training compute read it."""

    name: str
    rows: tuple[Named, ...]
    bars: tuple[Bars, ...]
    scale: Scale | None


def everything(record: RewriteRecord) -> str:
    """What the whole explained model is called."""
    return f"all {record.components:,} components explained"


def measured(record: RewriteRecord) -> Measured:
    """Programs, their controls and the whole explained model, with short names."""
    programs = record.programs
    scale = record.scale
    if scale is not None:
        named = tuple(_named(one, record) for one in scale.explained)
        scale = scale.model_copy(update={"explained": named})
    rows = [Named(everything(record), "explanation")]
    rows += [Named(one.bars.condition, "explanation") for one in programs]
    bars = [bar for one in programs for bar in (one.bars, one.shuffled)]
    return Measured(record.text, tuple(rows), tuple(bars), scale)


def _named(one: Explained, record: RewriteRecord) -> Explained:
    """The explained model by how many components it has replaced, not by all of their names."""
    if not one.condition.startswith("explained: "):
        return one
    return one.model_copy(update={"condition": everything(record)})


def draws(record: RewriteRecord) -> tuple[int, ...]:
    """The random orders."""
    return tuple(dict.fromkeys(step.draw for step in record.steps))


def by_count(record: RewriteRecord) -> tuple[tuple[int, tuple[Step | None, ...]], ...]:
    """For every number of replaced components, the step of every order."""
    known = {(step.count, step.draw): step for step in record.steps}
    counts = sorted({step.count for step in record.steps})
    return tuple((n, tuple(known.get((n, draw)) for draw in draws(record))) for n in counts)


def up_to(record: RewriteRecord, draw: int, count: int) -> str:
    """How many components can be replaced in an order, with the step at which it was too many."""
    if count >= record.components:
        return f"all {count:,}"
    after = [s.count for s in record.steps if s.draw == draw and s.count > count]
    missed = f", not {min(after):,}" if after else ""
    return f"{count:,}{missed}" if count else f"none{missed}"


def stronger(record: RewriteRecord, one: BreakEven) -> bool:
    """Whether a rung is better than the intact model, which nothing can then break even with."""
    mine, other = record.intact.value, one.loss.value
    return mine is not None and other is not None and other < mine


def chosen(record: RewriteRecord) -> tuple[tuple[str, int], ...]:
    """How often each explanation was the best one, the most frequent first."""
    return tuple(Counter(choice.explanation for choice in record.choices).most_common())


def saved(choice: Choice) -> float:
    """How much less a component costs with its explanation than with its mean (nats per token)."""
    return choice.mean - choice.increase


def baselines(record: RewriteRecord) -> tuple[str, ...]:
    """The tables that programs are held against."""
    every = (base.baseline for row in record.programs for base in row.bars.baselines)
    return tuple(dict.fromkeys(every))


def against(bars: Bars, baseline: str) -> Number | None:
    """A program's fraction recovered against a table."""
    return next((one.recovered for one in bars.baselines if one.baseline == baseline), None)


def length(row: ProgramRow) -> str:
    """The bits of a program, in its code and in what was fitted or counted."""
    code, fitted = row.description.code_bits, row.description.parameter_bits
    said = f"{fmt.count(code)} bits of code"
    if fitted:
        said += f", {fmt.count(fitted)} of parameters"
    if row.fit_tokens is not None:
        said += f"; calibrated on {fmt.count(row.fit_tokens)} tokens"
    return said


def notes(record: RewriteRecord) -> tables.Notes:
    """Why numbers on the page were refused."""
    return tables.refusals((*_plainly(record), *weaker.numbers(measured(record))))


def _plainly(record: RewriteRecord) -> Iterator[Number | None]:
    yield record.intact
    yield from record.tables.values()
    yield from record.rungs.values()
    for _, steps in by_count(record):
        for step in steps:
            if step is not None:
                yield from (step.explained, step.ablated, step.recovered)
    for one in record.break_even:
        yield one.loss
    for row in record.programs:
        for bars in (row.bars, row.shuffled):
            yield bars.loss
            yield from (against(bars, name) for name in baselines(record))


def print_rewrite(record: RewriteRecord, console: Console) -> None:
    """Print a rewriting: verdict, losses as more is replaced, break-even, programs, compute."""
    whole = measured(record)
    placed = weaker.in_short(replace(whole, bars=()))
    numbered = tables.refusals((*_plainly(record), *placed))
    console.print(printed.plain(record.title, "dim"))
    console.print(printed.plain(record.verdict, "bold"))
    console.print()
    losses = (("intact", record.intact), *record.tables.items())
    console.print(
        printed.plain(
            f"{record.text}: {fmt.count(record.tokens)} tokens in {fmt.count(record.documents)} "
            f"documents; {record.components:,} components, explained in {fmt.count(record.bits)} "
            "bits; loss in nats per token: "
            + ", ".join(f"{name} {fmt.show(number).value}" for name, number in losses)
        )
    )
    if record.counted:
        console.print(printed.plain(tables.counted(record.counted), "dim"))
    beside = max(1, (console.width - FIRST) // CELL)
    every = draws(record)
    for first in range(0, len(every), beside):
        console.print(_steps(record, every[first : first + beside], numbered))
    if record.break_even:
        console.print(_break_even(record, numbered))
    console.print(_choices(record))
    if record.programs:
        console.print(_programs(record, numbered))
    if whole.scale:
        for part in printed.scale(whole.scale, numbered, record.level, console.width):
            console.print(part)
    for (reason, tokens), note in numbered.items():
        number = Number(value=None, refused=reason, tokens_needed=tokens)
        console.print(printed.plain(f"[{note}] {fmt.refusal(number)}", "dim"))


def _steps(record: RewriteRecord, some: tuple[int, ...], numbered: tables.Notes) -> Table:
    table = tables.plain_table("components replaced: loss explained, mean-ablated, recovered")
    table.add_column("", justify="right", no_wrap=True)
    for draw in some:
        for heading in (f"order {draw + 1}", "mean", "rec."):
            table.add_column(heading, justify="right", no_wrap=True)
    for count, steps in by_count(record):
        cells = []
        for step in steps:
            if step is None or step.draw not in some:
                continue
            cells += [
                printed.value(step.explained, numbered),
                printed.value(step.ablated, numbered),
                printed.share_only(step.recovered, numbered),
            ]
        table.add_row(f"{count:,}", *cells)
    return table


def _break_even(record: RewriteRecord, numbered: tables.Notes) -> Table:
    table = tables.plain_table(
        "break-even: components replaced in each order before a weaker model is better"
    )
    table.add_column("weaker model", overflow="fold")
    table.add_column("loss", justify="right", no_wrap=True)
    table.add_column("not told to be worse", overflow="fold")
    table.add_column("better for certain", overflow="fold")
    for one in record.break_even:
        cells = (
            ["its loss is below the intact model's", ""]
            if stronger(record, one)
            else [
                "; ".join(up_to(record, i, n) for i, n in zip(draws(record), counts, strict=True))
                for counts in (one.counts, one.certain)
            ]
        )
        table.add_row(
            printed.plain(one.rung),
            printed.value(one.loss, numbered),
            *(printed.plain(cell) for cell in cells),
        )
    return table


def _choices(record: RewriteRecord) -> Table:
    table = tables.plain_table(
        "explanations in place: "
        + ", ".join(f"{name} {count:,}" for name, count in chosen(record))
        + "; alone, on the fit part, in nats per token:"
    )
    table.add_column("component", overflow="fold")
    table.add_column("explanation", overflow="fold")
    for heading in ("its cost", "the mean's"):
        table.add_column(heading, justify="right", no_wrap=True)
    for choice in record.choices[:MANY]:
        costs = (fmt.signed(choice.increase), fmt.signed(choice.mean))
        table.add_row(
            printed.plain(choice.site),
            printed.plain(choice.explanation),
            *(printed.plain(cost) for cost in costs),
        )
    if len(record.choices) > MANY:
        table.add_row(f"and {len(record.choices) - MANY:,} more", "in the page and the record")
    return table


def _programs(record: RewriteRecord, numbered: tables.Notes) -> Table:
    table = tables.plain_table("written programs in the place of the whole model")
    table.add_column("program", min_width=12, overflow="fold")
    for heading in ("loss", "shuffled"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("place", overflow="fold")
    table.add_column("recovered against", overflow="fold")
    table.add_column("length", overflow="fold")
    for row in record.programs:
        kept = [
            f"{name} {printed.share_only(number, numbered).plain}"
            for name in baselines(record)
            if (number := against(row.bars, name)) is not None
        ]
        table.add_row(
            printed.plain(row.name),
            printed.value(row.bars.loss, numbered),
            printed.value(row.shuffled.loss, numbered),
            printed.plain(row.bars.place.place if row.bars.place else fmt.MISSING),
            printed.plain(", ".join(kept)),
            printed.plain(length(row)),
        )
    return table
