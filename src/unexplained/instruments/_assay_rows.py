"""The rows of an assay: what each claims, what it recovers on every scale, and each component alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from unexplained.bars.cards import Card
from unexplained.record import Number
from unexplained.record import blocks as b
from unexplained.record import format as fmt

if TYPE_CHECKING:
    from unexplained.bars.rows import RowNumbers

REFERENCE = "mean"
"""The ablation that strata, bars and nines are measured against; the others are printed too."""
GROUPS = {
    "explanation": "Stated explanations",
    "fitted": "Fitted maps",
    "baseline": "Baselines without an explanation",
    "control": "Controls",
    "twin": "Random-weight twin",
}
"""Roles of rows in the order in which they are shown; ablations come before."""


class ArmRow(NamedTuple):
    """An arm with all its numbers."""

    card: Card
    numbers: RowNumbers
    own: Mapping[str, Number] = {}
    """What ablations cost, where that is not what they cost on the whole text: a twin, or one
    component of several alone."""
    documents: tuple[int, int] | None = None
    """On how many of how many documents it was measured, where that is not all of them."""

    @property
    def name(self) -> str:
        """What it is called."""
        return self.card.name

    @property
    def claims(self) -> bool:
        """Whether something is claimed by it."""
        return self.card.role in ("explanation", "fitted")

    @property
    def few(self) -> str:
        """On how many documents it was measured, where that is not all of them."""
        return "on {:,} of {:,} documents".format(*self.documents) if self.documents else ""

    @property
    def beside(self) -> str:
        """What stands beside its name: its role, unless it is a claim."""
        role = "" if self.card.role == "explanation" else self.card.role
        return ", ".join(part for part in (role, self.few) if part)


Columns = Sequence[tuple[b.Column, Callable[[ArmRow], b.Cell]]]
"""Of each column what it holds of a row."""


def in_order(rows: Sequence[ArmRow]) -> tuple[ArmRow, ...]:
    """The ablations, then the roles as in the charts."""
    order = ["ablation", *GROUPS]
    return tuple(sorted(rows, key=lambda row: order.index(row.card.role)))


def table_of(key: str, rows: Sequence[ArmRow], columns: Columns, **about: Any) -> b.Table:
    """A table of rows of the assay."""
    return b.Table(
        key=key,
        corner="Row",
        columns=tuple(column for column, _ in columns),
        rows=tuple(
            b.Row(key=row.name, name=row.name, note=row.beside, role=row.card.role,
                  cells=tuple(of(row) for _, of in columns))
            for row in rows
        ),
        **about,
    )  # fmt: skip


def _of(field: str, name: str) -> Callable[[ArmRow], b.Cell]:
    """A row's number of that name in a field that has several."""
    return lambda row: getattr(row.numbers, field).get(name)


def _fractions(rows: Sequence[ArmRow]) -> b.Table:
    """One claim on every scale that it was measured on."""

    def scale(key: str, heading: str, group: str = "") -> b.Column:
        return b.Column(key=key, heading=heading, group=group, style="share", gauge=True)

    heading = f"Recovered against {REFERENCE}"
    columns = [
        (scale(f"against {REFERENCE}", heading), _of("recovered", REFERENCE)),
        *((scale(f"direct {name}", name, "Direct effect"), _of("direct", name))
          for name in dict.fromkeys(name for row in rows for name in row.numbers.direct)),
    ]  # fmt: skip
    if any(row.numbers.variance is not None for row in rows):
        columns.append((scale("variance", "Variance explained"), lambda row: row.numbers.variance))
    return table_of(
        "fractions", rows, columns,
        title="One claim on several scales" if len(columns) > 1 else "",
        caption="Recovered and direct: share of the damage.",
    )  # fmt: skip


def _numbers(rows: Sequence[ArmRow]) -> b.Table:
    columns: Columns = [
        (
            b.Column(key="increase", heading="Increase over intact"),
            lambda row: row.numbers.increase,
        ),
        (b.Column(key="kl", heading="KL"), lambda row: row.numbers.kl),
    ]
    return table_of("numbers", rows, columns, title="Loss", caption="In nats per token.")


def _more(rows: Sequence[ArmRow]) -> b.Table:
    """Everything else about rows, and the fractions against the other ablations."""
    names = dict.fromkeys(name for row in rows for name in row.numbers.recovered)
    columns: list[tuple[b.Column, Callable[[ArmRow], b.Cell]]] = [
        (b.Column(key=f"against {name}", heading=name, group="Recovered against", style="share"),
         _of("recovered", name))
        for name in names if name != REFERENCE
    ]  # fmt: skip
    columns += [
        (b.Column(key="loss", heading="Loss"), lambda row: row.numbers.loss),
        (b.Column(key="agreement", heading="Agreement", note="faithfulness", style="share"),
         lambda row: row.numbers.agreement),
        (b.Column(key="right", heading="Right", note="reliability", style="share"),
         lambda row: row.numbers.reliability),
        (b.Column(key="nines", heading="Nines"), lambda row: row.numbers.nines),
    ]  # fmt: skip
    if any(row.documents for row in rows):
        few = b.Column(key="documents", heading="On documents only")
        columns.append((few, lambda row: row.documents[0] if row.documents else None))
    title, caption = "All other numbers", "Losses in nats per token."
    return table_of("more", rows, columns, title=title, caption=caption, folded=True)


def _claims(rows: Sequence[ArmRow]) -> b.Table:
    """What each row claims, what it was given, and how long it is."""
    lengths = (
        ("bits", "Description, bits", "bits"),
        ("code", "Of them code", "code_bits"),
        ("parameters", "Parameters", "parameters"),
        ("lent", "Lent by the model", "lent"),
    )

    def length(field: str) -> Callable[[ArmRow], b.Cell]:
        return lambda row: getattr(row.card.description, field, None)

    columns: Columns = [
        (b.Column(key="says", heading="Claim", words=True), lambda row: row.card.says),
        (b.Column(key="method", heading="Method", words=True),
         lambda row: fmt.METHODS[row.card.method]),
        (b.Column(key="reads", heading="Reads", words=True),
         lambda row: ", ".join(row.card.reads) or None),
        (b.Column(key="leaves", heading="Leaves to the model", words=True),
         lambda row: ", ".join(row.card.leaves) or None),
        *((b.Column(key=key, heading=heading), length(field)) for key, heading, field in lengths),
    ]  # fmt: skip
    return table_of("claims", rows, columns, title="What each row claims", folded=True)


def _distances(rows: Sequence[ArmRow]) -> b.Table:
    columns: Columns = [
        (b.Column(key=f"{float(name):g}", heading=fmt.tick(float(name), share=True), style="points"),
         _of("bars", name))
        for name in rows[0].numbers.bars
    ]  # fmt: skip
    caption = f"Fraction recovered against {REFERENCE} minus the bar, in percentage points."
    title = "Distance to each bar"
    return table_of("distances", rows, columns, title=title, caption=caption, folded=True)


def _own(rows: Sequence[ArmRow], **about: bool) -> list[b.Table]:
    """The damage that rows are measured against, where it is not the text's."""

    def cost(name: str) -> Callable[[ArmRow], b.Cell]:
        return lambda row: row.own.get(name)

    columns: Columns = [
        (b.Column(key=name, heading=name, group="Damage"), cost(name))
        for name in dict.fromkeys(name for row in rows for name in row.own)
    ]
    rows = [row for row in rows if row.own]
    title, caption = "Denominators of their own", "In nats per token."
    return [table_of("own", rows, columns, title=title, caption=caption, **about)] * bool(rows)


def section(rows: Sequence[ArmRow], primary: str) -> b.Section:
    """The forest of fractions, and every number of every row.

    Args:
        rows: All that were measured on a text.
        primary: The claim that is shown in detail.
    """
    rows = in_order(rows)
    fractions, numbers, more = _fractions(rows), _numbers(rows), _more(rows)
    against, why = forest_against(rows)
    at = {name: fractions if name == REFERENCE else more for name in rows[-1].numbers.recovered}
    shown = [row for row in rows if row.card.role in GROUPS]
    tracks = tuple(
        _track(row, at, against) if against else _track(row, {"": numbers}, "") for row in shown
    )
    words = (
        "0% is no better than the ablation, 100% as good as the component itself."
        + " Small upright strokes: the same row against the other ablations." * (len(at) > 1)
        + " Faint lines: bars; none is a pass mark."
        + " An arrow marks a value beyond the axis."
    ) * bool(against)
    bars = tuple(float(name) for name in rows[0].numbers.bars) if against else ()
    forest = b.Forest(key="forest", caption=words, share=bool(against), bars=bars, tracks=tracks)
    blocks: list[b.Block] = [b.Prose(words=why, manner="aside")] if why else []
    blocks += [forest, fractions]
    blocks += [b.Prose(words=apart)] if (apart := differ(rows, primary)) else []
    blocks += [numbers, more, _claims(rows), _distances(rows), *_own(rows, folded=True)]
    title = f"Fraction recovered, against {against} ablation" if against else (
        "Increase in loss over the intact model"
    )  # fmt: skip
    return b.Section(key="recovered", title=title, blocks=tuple(blocks))


def _track(row: ArmRow, at: Mapping[str, b.Table], against: str) -> b.Track:
    """A row's line: its number in one of the tables, and strokes for those in others."""
    others = [name for name in row.numbers.recovered if against and name != against]
    return b.Track(
        name=row.name,
        note=" ".join(part for part in (row.card.says, row.few) if part),
        role=row.card.role,
        group=GROUPS.get(row.card.role, ""),
        marks=(at[against].at(row.name, f"against {against}" if against else "increase"),),
        others=tuple(at[name].at(row.name, f"against {name}") for name in others),
    )


def forest_against(rows: Sequence[ArmRow]) -> tuple[str, str]:
    """The ablation that the chart is drawn against, and why where it is not the reference.

    The reference, if any explanation has a fraction against it; else another ablation; else none,
    where every fraction was refused: then the chart shows the increase in loss.
    """
    claims = [row for row in rows if row.claims]
    for name in dict.fromkeys([REFERENCE, *claims[0].numbers.recovered]):
        if any(row.numbers.recovered[name].value is not None for row in claims):
            return name, "" if name == REFERENCE else (
                f"Against {REFERENCE} ablation every fraction was refused, so this chart is drawn "
                f"against {name} ablation."
            )
    return "", (
        "Every fraction recovered was refused on this text, so this chart shows the increase in "
        "loss itself."
    )


def differ(rows: Sequence[ArmRow], primary: str) -> str:
    """How far the scales are apart for one claim: the one in detail, if it is on several.

    Empty where no claim has two numbers to compare.
    """
    compared = []
    for row in rows:
        numbers = [
            (row.numbers.variance, "variance explained"),
            (row.numbers.recovered[REFERENCE], f"loss recovered against {REFERENCE}"),
            *((number, f"direct effect, {name}") for name, number in row.numbers.direct.items()),
        ]
        given = [(n.value, n, name) for n, name in numbers if n is not None and n.value is not None]
        if row.claims and len(given) > 1:
            compared.append((row.name, given))
    if not compared:
        return ""
    name, given = next((item for item in compared if item[0] == primary), compared[0])
    most, least = (pick(given, key=lambda item: item[0]) for pick in (max, min))
    return (
        f"“{name}” scores {fmt.show(most[1], share=True).value} on one scale ({most[2]}) and "
        f"{fmt.show(least[1], share=True).value} on another ({least[2]}). “How much is explained” "
        "has no answer until the scale is named."
    )


def singles(rows: Sequence[ArmRow]) -> b.Section:
    """Each component alone."""
    fractions = _fractions(rows)
    words = (
        f"Each head replaced alone, measured against ablating that head alone ({REFERENCE}) on the "
        "first documents of the eval part. Heads that stand in for each other each look harmless "
        f"alone. Claimed: {rows[0].card.says}"
    )
    tracks = tuple(
        b.Track(name=row.name, note=row.few, role=row.card.role,
                marks=(fractions.at(row.name, f"against {REFERENCE}"),))
        for row in rows
    )  # fmt: skip
    blocks: tuple[b.Block, ...] = (
        b.Prose(words=words), b.Forest(key="forest", tracks=tracks), *_own(rows), fractions,
        _numbers(rows), _more(rows), _distances(rows),
    )  # fmt: skip
    return b.Section(key="singles", title="Single heads", blocks=blocks)
