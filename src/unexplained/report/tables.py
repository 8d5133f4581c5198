"""What the page's tables say beside single numbers: headings, footnotes, comparisons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pydantic import BaseModel

from unexplained.record import AssayRecord, Factor, Number, Row, Stratum, TextResult
from unexplained.report import format as fmt
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


def numbers_in(value: object) -> Iterator[Number]:
    """Every number in a part of a record, in order."""
    if isinstance(value, Number):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from numbers_in(getattr(value, name))
    elif isinstance(value, dict):
        for item in value.values():
            yield from numbers_in(item)
    elif isinstance(value, tuple):
        for item in value:
            yield from numbers_in(item)


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


def families(text: TextResult) -> tuple[Family, ...]:
    """The strata of a text, by family, for every row that has them."""
    columns: dict[str, dict[str, Stratum]] = {}
    for row in text.rows:
        for stratum in row.strata:
            columns.setdefault(stratum.family, {}).setdefault(stratum.label, stratum)
    found = []
    for name, labels in columns.items():
        rows = []
        for row in in_order(text):
            here = {s.label: s.recovered for s in row.strata if s.family == name}
            if here and row.kind not in ("intact", "ablation"):
                rows.append((row, tuple(here.get(label) for label in labels)))
        if rows:
            found.append(Family(name, tuple(labels.values()), tuple(rows)))
    return tuple(found)


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
