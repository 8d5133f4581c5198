"""The rows of an assay on parts of the tokens: an average can hide where an explanation fails."""

from __future__ import annotations

import re
from dataclasses import dataclass

from unexplained.instruments._assay_rows import beside, in_order, table_of
from unexplained.record import Number, Row, Stratum, TextResult
from unexplained.record import blocks as b

FAMILIES = ("recurrence", "copy", "position", "domain")
"""Families of strata in the order in which they are shown; others follow."""


@dataclass(frozen=True)
class Family:
    """One way of cutting the text, with a column for each label."""

    name: str
    columns: tuple[Stratum, ...]
    """One stratum for each label: its label, tokens and damage head the column."""
    rows: tuple[tuple[Row, tuple[Stratum | None, ...]], ...]
    """Each row with its stratum under every label."""


def families(text: TextResult) -> tuple[Family, ...]:
    """The strata of a text, by family, for every row that is scored on this model.

    The twin is left out: its denominators are its own, not those that head the columns.
    """
    scored = [row for row in in_order(text) if row.kind != "twin"]
    columns: dict[str, dict[str, Stratum]] = {}
    for row in scored:
        for stratum in row.strata:
            columns.setdefault(stratum.family, {}).setdefault(stratum.label, stratum)
    found = []
    for name in sorted(columns, key=_family_order):
        labels = sorted(columns[name], key=_label_order)
        rows = []
        for row in scored:
            here = {s.label: s for s in row.strata if s.family == name}
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


def section(text: TextResult, reference: str) -> b.Section:
    """A table of fractions for each way of cutting the text, denominators in its first rows."""
    words = (
        "An average can hide that an explanation fails somewhere. Fraction recovered against "
        f"{reference} ablation; in the first rows the tokens and the denominator."
    )
    blocks: list[b.Block] = [b.Prose(words=words)]
    for i, family in enumerate(families(text)):
        blocks += [_shares(family, text, folded=i > 0), _losses(family, text)]
    blocks += [_twin_strata(row) for row in text.rows if row.kind == "twin" and row.strata]
    return b.Section(key="strata", title="By stratum", blocks=tuple(blocks))


def _shares(family: Family, text: TextResult, *, folded: bool) -> b.Table:
    top = (
        b.Row(key="count", name="tokens", cells=tuple(s.tokens for s in family.columns)),
        b.Row(key="denominator", name="damage", note="nats per token",
              cells=tuple(s.damage for s in family.columns)),
    )  # fmt: skip
    rows = tuple(
        b.Row(key=row.name, name=row.name, note=beside(row, text), role=row.kind,
              cells=tuple(s.recovered if s else None for s in strata))
        for row, strata in family.rows
    )  # fmt: skip
    return b.Table(
        key=family.name,
        title=f"By {family.name}",
        corner="Row",
        columns=tuple(b.Column(key=s.label, heading=s.label) for s in family.columns),
        rows=(*top, *rows),
        shaded=True,
        folded=folded,
    )


def _losses(family: Family, text: TextResult) -> b.Table:
    columns: list[tuple[b.Column, list[Number | None]]] = [
        (
            b.Column(key=one.label, heading=one.label),
            [stratum.loss if (stratum := strata[i]) else None for _, strata in family.rows],
        )
        for i, one in enumerate(family.columns)
    ]
    title, caption = f"Losses by {family.name}", "In nats per token."
    rows = [row for row, _ in family.rows]
    key = f"losses by {family.name}"
    return table_of(key, rows, text, columns, title=title, caption=caption, folded=True)


def _twin_strata(row: Row) -> b.Table:
    return b.Table(
        key="twin",
        title=f"{row.name}, by stratum",
        caption="Against its own damage; losses and damage in nats per token.",
        corner="Stratum",
        columns=(
            b.Column(key="tokens", heading="Tokens"),
            b.Column(key="loss", heading="Loss"),
            b.Column(key="damage", heading="Damage"),
            b.Column(key="recovered", heading="Recovered", style="share"),
        ),
        rows=tuple(
            b.Row(key=f"{s.family} {s.label}", name=s.label, note=s.family, role="twin",
                  cells=(s.tokens, s.loss, s.damage, s.recovered))
            for s in row.strata
        ),
        folded=True,
    )  # fmt: skip
