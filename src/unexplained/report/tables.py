"""What the page's tables say beside single numbers: headings, footnotes, comparisons."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table
from rich.text import Text

from unexplained.record import AssayRecord, Counted, Factor, Number, Row, Stratum, TextResult
from unexplained.report import format as fmt
from unexplained.report import visible, weaker
from unexplained.report.charts import GROUPS

KIND_NAMES = {
    "intact": "intact model",
    "ablation": "ablation",
    "explanation": "explanation",
    "fitted": "fitted",
    "baseline": "baseline",
    "control": "control",
    "twin": "twin",
}
METHOD_NAMES = {
    "mech": "mechanistic",
    "high-level": "high-level",
    "internals": "internals",
    "black-box": "black-box",
}
FAMILIES = ("recurrence", "copy", "position", "domain")
"""Families of strata in the order in which they are shown; others follow."""
WHERE = {"rule": "as the rule says", "own": "as the model does"}
AMOUNT = {"all": "everything, as the rule says", "own": "as much as the model does"}


@dataclass(frozen=True)
class Family:
    """One way of cutting the text, with a column for each label."""

    name: str
    columns: tuple[Stratum, ...]
    """One stratum for each label: its label, tokens and damage head the column."""
    rows: tuple[tuple[Row, tuple[Number | None, ...]], ...]
    """Each row with its fraction recovered under every label."""


@dataclass(frozen=True)
class Scales:
    """One claim on every scale that it was measured on."""

    row: Row
    numbers: tuple[Number | None, ...]


Notes = dict[tuple[str, int | None], int]
"""For each reason and number of tokens needed, the number of its footnote."""


def refusals(numbers: Iterable[Number | None]) -> Notes:
    """Number the reasons for which numbers were refused, in order of appearance."""
    notes: Notes = {}
    for number in numbers:
        if number is not None and number.value is None:
            notes.setdefault((number.refused, number.tokens_needed), len(notes) + 1)
    return notes


def shown(text: TextResult, reference: str) -> Iterator[Number | None]:
    """Every number that the page shows of a text, in the page's order."""
    yield from text.damage.values()
    for row in in_order(text):
        yield from (row.loss, row.increase, row.kl, row.agreement, row.variance, row.nines)
        yield row.reliability
        yield from (*row.recovered.values(), *row.direct.values(), *row.bars.values())
    yield from (factor.recovered for factor in text.factors)
    yield from weaker.numbers(text)
    for family in families(text):
        yield from (stratum.damage for stratum in family.columns)
        for _, numbers in family.rows:
            yield from numbers
    if text.context:
        yield from (*text.context.gain.values(), *text.context.lost.values())
    for row in text.singles:
        yield row.recovered.get(reference)


def ablations(text: TextResult, reference: str) -> tuple[str, ...]:
    """The ablations of a text, the reference first."""
    named = [*text.damage, *(name for row in text.rows for name in row.recovered)]
    return tuple(dict.fromkeys([name for name in named if name == reference] + named))


def direct_effects(text: TextResult) -> tuple[str, ...]:
    """The kinds of direct effect that any row was measured by."""
    return tuple(dict.fromkeys(name for row in text.rows for name in row.direct))


def in_order(text: TextResult) -> tuple[Row, ...]:
    """All rows: the intact model, the ablations, then the kinds as in the charts."""
    order = ["intact", "ablation", *(kind for kind, _ in GROUPS)]
    return tuple(sorted(text.rows, key=lambda row: order.index(row.kind)))


def reliability(text: TextResult) -> str:
    """How often the model itself is right, and what the twin took."""
    own = fmt.show(text.reliability, share=True)
    said = f"The intact model is right on {own} of the tokens."
    if own.refused:
        said = "On how many of the tokens the intact model is right is refused."
    if text.twin_seconds is not None:
        said += f" The random-weight twin took {text.twin_seconds:g} s of the time."
    return said


def families(text: TextResult) -> tuple[Family, ...]:
    """The strata of a text, by family, for every row that is scored on this model.

    The twin is left out: its denominators are its own, not those that head the columns.
    """
    scored = [row for row in in_order(text) if row.kind not in ("intact", "ablation", "twin")]
    columns: dict[str, dict[str, Stratum]] = {}
    for row in scored:
        for stratum in row.strata:
            columns.setdefault(stratum.family, {}).setdefault(stratum.label, stratum)
    found = []
    for name in sorted(columns, key=_family_order):
        labels = sorted(columns[name], key=_label_order)
        rows = []
        for row in scored:
            here = {s.label: s.recovered for s in row.strata if s.family == name}
            if here:
                rows.append((row, tuple(here.get(label) for label in labels)))
        found.append(Family(name, tuple(columns[name][label] for label in labels), tuple(rows)))
    return tuple(found)


def _family_order(name: str) -> tuple[int, str]:
    return (FAMILIES.index(name) if name in FAMILIES else len(FAMILIES), name)


def _label_order(label: str) -> tuple[bool, int, str]:
    """`first …` before the rest, and ranges by their first number: 64-127 before 128-255."""
    start = re.match(r"\d+", label)
    return (not label.startswith("first"), int(start[0]) if start else 0, label)


def scales(text: TextResult, reference: str) -> tuple[tuple[str, ...], tuple[Scales, ...]]:
    """Headings and rows of the comparison of one claim on several scales."""
    direct = direct_effects(text)
    headings = (
        "Variance explained",
        f"Loss recovered against {reference}",
        *(f"Direct effect, {name}" for name in direct),
    )
    rows = tuple(
        Scales(
            row,
            (
                row.variance,
                row.recovered.get(reference),
                *(row.direct.get(name) for name in direct),
            ),
        )
        for row in in_order(text)
        if row.kind in ("explanation", "fitted")
    )
    return headings, tuple(r for r in rows if _given(r.numbers) >= 2)


def _given(numbers: tuple[Number | None, ...]) -> int:
    return sum(number is not None and number.value is not None for number in numbers)


def differ(text: TextResult, rows: tuple[Scales, ...], headings: tuple[str, ...]) -> str:
    """Say of one claim, that of the token view if it is there, how far the scales are apart."""
    shown = [example.row for example in text.examples]
    row = next((row for row in rows if row.row.name in shown), rows[0])
    pairs = zip(row.numbers, headings, strict=True)
    given = [(n.value, n, name) for n, name in pairs if n is not None and n.value is not None]
    _, most, here = max(given, key=lambda item: item[0])
    _, least, there = min(given, key=lambda item: item[0])
    return (
        f"“{row.row.name}” scores {fmt.show(most, share=True).value} on one scale "
        f"({here.lower()}) and {fmt.show(least, share=True).value} on another ({there.lower()})."
    )


def square(text: TextResult) -> dict[tuple[str, str], Factor]:
    """The two-by-two of where against how much, by (where, amount)."""
    return {(factor.where, factor.amount): factor for factor in text.factors}


def at_bar(row: Row, bar: float) -> Number | None:
    """A row's distance to a bar, however the bar was written."""
    return next((number for name, number in row.bars.items() if float(name) == bar), None)


def failed(record: AssayRecord) -> tuple[str, ...]:
    """The controls that did not hold, each as `name (text)`."""
    return tuple(f"{check.name} ({check.text})" for check in record.checks if not check.holds)


EXACT = ("the component itself", "no explanation")
"""Controls that have to come out exactly, whatever is claimed."""


def alarm(record: AssayRecord) -> str:
    """What a failed control leaves standing."""
    if any(check.name in EXACT for check in record.checks if not check.holds):
        return (
            "What has to come out exactly did not, so the instrument is at fault: no number here "
            "can be relied on until that is understood."
        )
    return (
        "Where the claim should not be right it recovers something too, so that much of its own "
        "score is no evidence for it. Ablations, baselines and other claims stand."
    )


def within_noise(damage: Number) -> bool:
    """Whether an ablation's damage cannot be told from zero."""
    if damage.value is None or damage.low is None or damage.high is None:
        return damage.value is None
    return damage.low <= 0 <= damage.high


def sites_in_short(sites: tuple[str, ...], *, show: int = 8) -> str:
    """The first sites, and how many more there are.

    >>> sites_in_short(("L1.H0", "L1.H1", "L1.H2"), show=2)
    'L1.H0, L1.H1 and 1 more'
    """
    if len(sites) <= show:
        return ", ".join(sites)
    return f"{', '.join(sites[:show])} and {len(sites) - show} more"


def reads(row: Row) -> str:
    """What a row was given."""
    return ", ".join(row.reads) or fmt.MISSING


def plain_table(title: str) -> Table:
    """An empty table for the terminal, with a title in grey above it."""
    return Table(
        title=Text(visible.line(title), style="dim"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1),
    )


def named(row: Row, text: TextResult) -> str:
    """A row's name, and on how many documents it was measured where not on all of the text's."""
    if row.documents is None or row.documents >= text.documents:
        return row.name
    return f"{row.name} (on {row.documents:,} of {text.documents:,} documents)"


def counted(known: Sequence[Counted]) -> str:
    """What n-gram tables were counted on, how they are smoothed, and how the other way would do.

    Empty where there are none, as in older records.
    """
    if not known:
        return ""
    said = f"N-gram tables: {known[0].extent}."
    if not any(one.held_out for one in known):
        ways = ", ".join(f"{one.name} {one.smoothing}" for one in known)
        return f"{said} Smoothing, with too few documents to choose it by: {ways}."
    ways = ", ".join(
        f"{one.name} {one.smoothing} {one.held_out[one.smoothing]:.3f}"
        + "".join(
            f" ({name} {loss:.3f})" for name, loss in one.held_out.items() if name != one.smoothing
        )
        for one in known
        if one.held_out
    )
    return f"{said} Smoothing, the better on held-out documents of it (nats per token): {ways}."
