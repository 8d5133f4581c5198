"""The rows of an assay on parts of the tokens: an average can hide where an explanation fails."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from unexplained.instruments._assay_rows import REFERENCE, ArmRow, in_order, table_of
from unexplained.record import Number
from unexplained.record import blocks as b
from unexplained.record.bars import Stratum

PARTITIONS = ("recurrence", "copy", "position", "domain")
"""Partitions of strata in the order in which they are shown; others follow."""


class Partition(NamedTuple):
    """One way of cutting the text, with a column for each label."""

    name: str
    columns: tuple[Stratum, ...]
    """One stratum for each label: its label, tokens and damage head the column."""
    rows: tuple[ArmRow, ...]


def partitions(rows: Sequence[ArmRow]) -> tuple[Partition, ...]:
    """The strata of a text, by partition, with the rows that are scored on this model.

    The twin is left out: its denominators are its own, not those that head the columns.
    """
    scored = tuple(row for row in in_order(rows) if row.card.role != "twin" and row.numbers.strata)
    found: dict[str, list[Stratum]] = {}
    for stratum in scored[0].numbers.strata if scored else ():
        found.setdefault(stratum.partition, []).append(stratum)
    return tuple(
        Partition(name, tuple(sorted(found[name], key=_label_order)), scored)
        for name in sorted(found, key=_family_order)
    )


def _family_order(name: str) -> tuple[int, str]:
    return (PARTITIONS.index(name) if name in PARTITIONS else len(PARTITIONS), name)


def _label_order(stratum: Stratum) -> tuple[bool, int, str]:
    """`first …` before the rest, and ranges by their first number: 64-127 before 128-255."""
    label = stratum.label
    start = re.match(r"\d+", label)
    return (not label.startswith("first"), int(start[0]) if start else 0, label)


def section(rows: Sequence[ArmRow]) -> b.Section:
    """A table of fractions for each way of cutting the text, denominators in its first rows."""
    words = (
        "An average can hide that an explanation fails somewhere. Fraction recovered against "
        f"{REFERENCE} ablation; in the first rows the tokens and the denominator."
    )
    blocks: list[b.Block] = [b.Prose(words=words)]
    for i, partition in enumerate(partitions(rows)):
        blocks += [_shares(partition, folded=i > 0), _losses(partition)]
    blocks += [_twin_strata(row) for row in rows if row.card.role == "twin" and row.numbers.strata]
    return b.Section(key="strata", title="By stratum", blocks=tuple(blocks))


def _columns(
    partition: Partition, of: Callable[[Stratum], Number]
) -> list[tuple[b.Column, Callable[[ArmRow], b.Cell]]]:
    """A column for each label with a number of every row's stratum there."""

    def there(label: str) -> Callable[[ArmRow], b.Cell]:
        return lambda row: next(
            of(s) for s in row.numbers.strata if (s.partition, s.label) == (partition.name, label)
        )

    return [(b.Column(key=s.label, heading=s.label), there(s.label)) for s in partition.columns]


def _shares(partition: Partition, *, folded: bool) -> b.Table:
    shares = _columns(partition, lambda stratum: stratum.recovered)
    table = table_of(partition.name, partition.rows, shares, title=f"By {partition.name}",
                     shaded=True, folded=folded)  # fmt: skip
    top = (
        b.Row(key="count", name="tokens", cells=tuple(s.tokens for s in partition.columns)),
        b.Row(key="denominator", name="damage", note="nats per token",
              cells=tuple(s.damage for s in partition.columns)),
    )  # fmt: skip
    return table.model_copy(update={"rows": (*top, *table.rows)})


def _losses(partition: Partition) -> b.Table:
    losses = _columns(partition, lambda stratum: stratum.loss)
    return table_of(
        f"losses by {partition.name}", partition.rows, losses, title=f"Losses by {partition.name}",
        caption="In nats per token.", folded=True,
    )  # fmt: skip


def _twin_strata(row: ArmRow) -> b.Table:
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
            b.Row(key=f"{s.partition} {s.label}", name=s.label, note=s.partition, role="twin",
                  cells=(s.tokens, s.loss, s.damage, s.recovered))
            for s in row.numbers.strata
        ),
        folded=True,
    )  # fmt: skip
