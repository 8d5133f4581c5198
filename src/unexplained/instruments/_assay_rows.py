"""The rows of an assay: what each claims, what it recovers on every scale, and each head alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from unexplained.record import AssayRecord, Number, Row, TextResult
from unexplained.record import blocks as b
from unexplained.record import format as fmt

GROUPS = (
    ("explanation", "Stated explanations"),
    ("fitted", "Fitted maps"),
    ("baseline", "Baselines without an explanation"),
    ("control", "Controls"),
    ("twin", "Random-weight twin"),
)
"""Kinds of rows in the order in which they are shown; the intact model and ablations come before."""
KIND_NAMES = {"intact": "intact model"}


def in_order(text: TextResult) -> tuple[Row, ...]:
    """All rows: the intact model, the ablations, then the kinds as in the charts."""
    order = ["intact", "ablation", *(kind for kind, _ in GROUPS)]
    return tuple(sorted(text.rows, key=lambda row: order.index(row.kind)))


def on_few(row: Row, text: TextResult) -> str:
    """On how many documents a row was measured, where that is not all of the text's."""
    if row.documents is None or row.documents >= text.documents:
        return ""
    return f"on {row.documents:,} of {text.documents:,} documents"


def beside(row: Row, text: TextResult) -> str:
    """What stands beside a row's name: its kind, unless it is a claim."""
    kind = "" if row.kind == "explanation" else KIND_NAMES.get(row.kind, row.kind)
    return ", ".join(part for part in (kind, on_few(row, text)) if part)


def ablations(text: TextResult, rows: Iterable[Row]) -> tuple[str, ...]:
    """The ablations that rows are measured against."""
    named = (name for row in rows for name in row.recovered)
    return tuple(dict.fromkeys([*text.damage, *named]))


def table_of(
    key: str,
    rows: Sequence[Row],
    text: TextResult,
    columns: Sequence[tuple[b.Column, Sequence[b.Cell]]],
    **about: str | bool,
) -> b.Table:
    """A table of rows of the assay; of each column its cells."""
    return b.Table.model_validate(
        {
            "key": key,
            "corner": "Row",
            "columns": [column for column, _ in columns],
            "rows": [
                b.Row(key=row.name, name=row.name, note=beside(row, text), role=row.kind,
                      cells=tuple(cells[i] for _, cells in columns))
                for i, row in enumerate(rows)
            ],
            **about,
        }
    )  # fmt: skip


def _fractions(rows: Sequence[Row], text: TextResult, reference: str) -> b.Table:
    """One claim on every scale that it was measured on, the reference ablation first."""
    direct = dict.fromkeys(name for row in rows for name in row.direct)
    columns: list[tuple[str, str, str, list[Number | None]]] = [
        (f"direct {name}", name, "Direct effect", [row.direct.get(name) for row in rows])
        for name in direct
    ]
    if any(reference in row.recovered for row in rows):
        numbers = [row.recovered.get(reference) for row in rows]
        columns.insert(0, (f"against {reference}", f"Recovered against {reference}", "", numbers))
    if any(row.variance is not None for row in rows):
        columns.append(("variance", "Variance explained", "", [row.variance for row in rows]))
    return table_of(
        "fractions",
        rows,
        text,
        [
            (b.Column(key=key, heading=heading, group=group, style="share", gauge=True), numbers)
            for key, heading, group, numbers in columns
        ],
        title="One claim on several scales" if len(columns) > 1 else "",
        caption="Recovered and direct: share of the damage.",
    )


def _numbers(rows: Sequence[Row], text: TextResult) -> b.Table:
    columns = [
        (b.Column(key="increase", heading="Increase over intact"), [r.increase for r in rows]),
        (b.Column(key="kl", heading="KL"), [row.kl for row in rows]),
    ]
    return table_of("numbers", rows, text, columns, title="Loss", caption="In nats per token.")


def _more(rows: Sequence[Row], text: TextResult, reference: str) -> b.Table:
    """Everything else about rows, and the fractions against the other ablations."""
    names = [name for name in ablations(text, rows) if name != reference]
    columns: list[tuple[b.Column, Sequence[b.Cell]]] = [
        (
            b.Column(key=f"against {name}", heading=name, group="Recovered against", style="share"),
            [row.recovered.get(name) for row in rows],
        )
        for name in names
    ]
    columns += [
        (b.Column(key="loss", heading="Loss"), [row.loss for row in rows]),
        (b.Column(key="agreement", heading="Agreement", note="faithfulness", style="share"),
         [row.agreement for row in rows]),
        (b.Column(key="right", heading="Right", note="reliability", style="share"),
         [row.reliability for row in rows]),
        (b.Column(key="nines", heading="Nines"), [row.nines for row in rows]),
    ]  # fmt: skip
    if any(on_few(row, text) for row in rows):
        few = [row.documents if on_few(row, text) else None for row in rows]
        columns.append((b.Column(key="documents", heading="On documents only"), few))
    title, caption = "All other numbers", "Losses in nats per token."
    return table_of("more", rows, text, columns, title=title, caption=caption, folded=True)


def _claims(rows: Sequence[Row], text: TextResult) -> b.Table:
    """What each row claims, what it was given, and how long it is."""
    long = [row.description for row in rows]
    columns: list[tuple[b.Column, Sequence[b.Cell]]] = [
        (b.Column(key="says", heading="Claim", words=True), [row.says for row in rows]),
        (b.Column(key="method", heading="Method", words=True),
         [fmt.METHODS[row.method] for row in rows]),
        (b.Column(key="reads", heading="Reads", words=True),
         [", ".join(row.reads) or None for row in rows]),
        (b.Column(key="leaves", heading="Leaves to the model", words=True),
         [", ".join(row.leaves) or None for row in rows]),
        (b.Column(key="bits", heading="Description, bits"), [d.bits if d else None for d in long]),
        (b.Column(key="code", heading="Of them code"), [d.code_bits if d else None for d in long]),
        (b.Column(key="parameters", heading="Parameters"), [d.parameters if d else None for d in long]),
        (b.Column(key="lent", heading="Lent by the model"), [d.lent if d else None for d in long]),
    ]  # fmt: skip
    return table_of("claims", rows, text, columns, title="What each row claims", folded=True)


def _distances(rows: Sequence[Row], text: TextResult, reference: str) -> list[b.Table]:
    levels = sorted({float(bar) for row in rows for bar in row.bars})
    if not levels:
        return []
    columns = [
        (
            b.Column(key=f"{bar:g}", heading=fmt.tick(bar, share=True), style="points"),
            [next((n for at, n in row.bars.items() if float(at) == bar), None) for row in rows],
        )
        for bar in levels
    ]
    caption = f"Fraction recovered against {reference} minus the bar, in percentage points."
    title = "Distance to each bar"
    return [table_of("distances", rows, text, columns, title=title, caption=caption, folded=True)]


def _own(rows: Sequence[Row], text: TextResult, **about: bool) -> list[b.Table]:
    """The damage that rows are measured against, where it is not the text's."""
    rows = [row for row in rows if row.damage]
    if not rows:
        return []
    columns = [
        (b.Column(key=name, heading=name, group="Damage"), [row.damage.get(name) for row in rows])
        for name in dict.fromkeys(name for row in rows for name in row.damage)
    ]
    title, caption = "Denominators of their own", "In nats per token."
    return [table_of("own", rows, text, columns, title=title, caption=caption, **about)]


def section(text: TextResult, record: AssayRecord) -> b.Section:
    """The forest of fractions, and every number of every row."""
    rows, reference = in_order(text), record.reference
    fractions, numbers = _fractions(rows, text, reference), _numbers(rows, text)
    more = _more(rows, text, reference)
    against, why = forest_against(text, reference)
    at = {name: fractions if name == reference else more for name in ablations(text, rows)}
    tracks = tuple(
        _track(row, text, at, against) if against else _track(row, text, {"": numbers}, "")
        for row in rows
        if row.kind in dict(GROUPS) and (not against or against in row.recovered)
    )
    bars = sorted({float(bar) for row in rows for bar in row.bars}) if against else []
    words = (
        "0% is no better than the ablation, 100% as good as the component itself."
        + " Small upright strokes: the same row against the other ablations."
        * (len(text.damage) > 1)
        + " Faint lines: bars; none is a pass mark." * bool(bars)
        + " An arrow marks a value beyond the axis."
    ) * bool(against)
    forest = b.Forest(
        key="forest", caption=words, share=bool(against), bars=tuple(bars), tracks=tracks
    )
    blocks: list[b.Block] = [b.Prose(words=why, manner="aside")] if why else []
    blocks += [forest] if tracks else []
    blocks += [fractions] if fractions.columns else []
    blocks += [b.Prose(words=apart)] if (apart := differ(text, reference)) else []
    blocks += [numbers, more, _claims(rows, text), *_distances(rows, text, reference)]
    blocks += _own(rows, text, folded=True)
    title = f"Fraction recovered, against {against} ablation" if against else (
        "Increase in loss over the intact model"
    )  # fmt: skip
    return b.Section(key="recovered", title=title, blocks=tuple(blocks))


def _track(row: Row, text: TextResult, at: Mapping[str, b.Table], against: str) -> b.Track:
    """A row's line: its number in one of the tables, and strokes for those in others."""
    others = [name for name in row.recovered if against and name != against]
    return b.Track(
        name=row.name,
        note=" ".join(part for part in (row.says, on_few(row, text)) if part),
        role=row.kind,
        group=dict(GROUPS).get(row.kind, ""),
        marks=(at[against].at(row.name, f"against {against}" if against else "increase"),),
        others=tuple(at[name].at(row.name, f"against {name}") for name in others),
    )


def forest_against(text: TextResult, reference: str) -> tuple[str, str]:
    """The ablation that the chart is drawn against, and why where it is not the reference.

    The reference, if any explanation has a fraction against it; else another ablation; else none,
    where every fraction was refused: then the chart shows the increase in loss.
    """
    rows = [row for row in text.rows if row.kind in dict(GROUPS)]
    claims = [row for row in rows if row.kind in ("explanation", "fitted")] or rows
    for name in (reference, *(other for other in text.damage if other != reference)):
        if any(_given(row.recovered.get(name)) for row in claims):
            return name, "" if name == reference else (
                f"Against {reference} ablation every fraction was refused, so this chart is drawn "
                f"against {name} ablation."
            )
    return "", (
        "Every fraction recovered was refused on this text, so this chart shows the increase in "
        "loss itself."
    )


def _given(number: Number | None) -> bool:
    return number is not None and number.value is not None


def differ(text: TextResult, reference: str) -> str:
    """How far the scales are apart for one claim: that of the token view if it is there.

    Empty where no claim has two numbers to compare.
    """
    compared = []
    for row in in_order(text):
        numbers = [
            (row.variance, "variance explained"),
            (row.recovered.get(reference), f"loss recovered against {reference}"),
            *((number, f"direct effect, {name}") for name, number in row.direct.items()),
        ]
        given = [(n.value, n, name) for n, name in numbers if n is not None and n.value is not None]
        if row.kind in ("explanation", "fitted") and len(given) > 1:
            compared.append((row.name, given))
    if not compared:
        return ""
    examples = [example.row for example in text.examples]
    name, given = next((item for item in compared if item[0] in examples), compared[0])
    most, least = (pick(given, key=lambda item: item[0]) for pick in (max, min))
    return (
        f"“{name}” scores {fmt.show(most[1], share=True).value} on one scale ({most[2]}) and "
        f"{fmt.show(least[1], share=True).value} on another ({least[2]}). “How much is explained” "
        "has no answer until the scale is named."
    )


def singles(text: TextResult, reference: str) -> b.Section:
    """Each component alone."""
    rows = text.singles
    fractions = _fractions(rows, text, reference)
    says = " ".join(dict.fromkeys(row.says for row in rows))
    words = (
        f"Each head replaced alone, measured against ablating that head alone ({reference}) on the "
        f"first documents of the eval part. Heads that stand in for each other each look harmless "
        f"alone. Claimed: {says}"
    )
    tracks = tuple(
        b.Track(name=row.name, note=on_few(row, text), role=row.kind,
                marks=(fractions.at(row.name, f"against {reference}"),))
        for row in rows if reference in row.recovered
    )  # fmt: skip
    blocks: list[b.Block] = [b.Prose(words=words)]
    blocks += [b.Forest(key="forest", tracks=tracks)] if tracks else []
    blocks += [*_own(rows, text), *[fractions] * bool(fractions.columns), _numbers(rows, text)]
    blocks += [_more(rows, text, reference), *_distances(rows, text, reference)]
    return b.Section(key="singles", title="Single heads", blocks=tuple(blocks))
