"""A family of models measured by byte: in words and in the terminal; the page has the chart."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console

from unexplained.bars.scales import in_words
from unexplained.record import Bars, FamilyRecord, Number, Scale
from unexplained.record import format as fmt
from unexplained.report import compute, printed, tables, weaker


@dataclass(frozen=True)
class Shown:
    """A scale alone, for the chart of training compute."""

    scale: Scale | None
    rows: tuple[compute.Kinded, ...] = ()
    bars: tuple[Bars, ...] = ()


def notes(record: FamilyRecord) -> tables.Notes:
    """Why numbers were refused."""
    scale = record.scale
    every = [model.bits_per_byte for model in record.models]
    every += [number for left in scale.left for number in (left.predicted, left.equals)]
    every += [one.equals for one in scale.explained]
    if scale.law is not None:
        every += [scale.law.floor, scale.law.exponent]
    if scale.bend is not None:
        every += [scale.bend.exponent, scale.bend.bends]
    return tables.refusals(every)


def print_family(record: FamilyRecord, console: Console) -> None:
    """Print a family: verdict, every model's loss, the law, who is placed where."""
    numbered, narrow = notes(record), console.width < printed.NARROW
    scale, level = record.scale, fmt.tick(record.level, share=True)
    console.print(printed.plain(record.title, "dim"))
    console.print(printed.plain(record.verdict, "bold"))
    console.print()
    table = tables.plain_table(
        f"{record.text}: the same {fmt.count(record.bytes)} bytes of {fmt.count(record.documents)} "
        f"documents for every model; [{level}]"
    )
    table.add_column("model", overflow="fold")
    for heading in ("FLOPs", "vocabulary", "tokens", "nats per token", "bits per byte"):
        if not (narrow and heading in ("vocabulary", "tokens")):
            table.add_column(heading, justify="right")
    for model in record.models:
        loss = fmt.show(model.bits_per_byte)
        cells = [
            printed.plain(model.name),
            printed.plain(fmt.MISSING if model.compute is None else fmt.power(model.compute)),
        ]
        if not narrow:
            cells += [printed.plain(fmt.count(n)) for n in (model.vocabulary, model.tokens)]
        cells += [
            printed.plain(f"{model.nats_per_token:.2f}"),
            printed.noted(model.bits_per_byte, numbered, str(loss)),
        ]
        table.add_row(*cells)
    console.print(table)
    console.print(printed.plain(in_words(scale), "dim"))
    if held := weaker.held(scale):
        console.print(printed.plain(held, "dim"))
    if scale.explained:
        for line in printed.scale(scale, numbered, record.level, console.width)[:1]:
            console.print(line)
        for one in scale.explained:
            if said := weaker.note(one, scale):
                console.print(printed.plain(f"{one.condition}: {said}", "dim"))
    for told in record.text_notes:
        console.print(printed.plain(told, "dim"))
    for (reason, needed), note in numbered.items():
        number = Number(value=None, refused=reason, tokens_needed=needed)
        console.print(printed.plain(f"[{note}] {fmt.refusal(number)}", "dim"))
