"""What a record of an assay shows: stated explanations in the place of components, text by text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from unexplained.bars.scales import NO_LADDER, compute
from unexplained.bars.standing import standing
from unexplained.record import AssayRecord, ContextGain, Number, Row, Stratum, TextResult
from unexplained.record import blocks as b
from unexplained.record import format as fmt
from unexplained.report.drawn import Shown
from unexplained.report.tables import counted, sites_in_short

GROUPS = (
    ("explanation", "Stated explanations"),
    ("fitted", "Fitted maps"),
    ("baseline", "Baselines without an explanation"),
    ("control", "Controls"),
    ("twin", "Random-weight twin"),
)
"""Kinds of rows in the order in which they are shown; the intact model and ablations come before."""
KIND_NAMES = {"intact": "intact model"}
METHOD_NAMES = {"mech": "mechanistic"}
FAMILIES = ("recurrence", "copy", "position", "domain")
"""Families of strata in the order in which they are shown; others follow."""
FEW = 8
"""Rows up to which the gain in context is shown unasked."""
WHERE = {"rule": "as the rule says", "own": "as the model does"}
AMOUNT = {"all": "everything, as the rule says", "own": "as much as the model does"}


def shown(record: AssayRecord) -> Shown:
    """The blocks of a record."""
    blocks: list[b.Block] = [_facts(record)]
    blocks += [_text(text, record, f"text-{i}") for i, text in enumerate(record.texts, start=1)]
    if record.checks:
        caption = "Conditions whose result is known beforehand."
        checks = b.Checks(key="checks", title="", caption=caption, checks=record.checks)
        blocks.append(b.Section(key="controls", title="Controls", blocks=(checks,)))
    if record.heads:
        blocks.append(_heads(record))
    if record.cruxes:
        blocks.append(_cruxes(record))
    sheet = {f"Text {text.name}": text.fingerprint for text in record.texts}
    sheet |= {"Sites": ", ".join(record.sites), "Reference ablation": record.reference}
    return Shown("assay", blocks, sheet)


def _facts(record: AssayRecord) -> b.Table:
    many = len(record.sites)
    return b.facts(
        "facts",
        b.Row(key="model", name="Model", cells=(record.subject,)),
        b.Row(key="sites", name="Site" if many == 1 else f"{many} sites",
              cells=(sites_in_short(record.sites),)),
        b.Row(key="texts", name="Text" if len(record.texts) == 1 else "Texts",
              cells=(", ".join(text.name for text in record.texts),)),
    )  # fmt: skip


def _text(text: TextResult, record: AssayRecord, key: str) -> b.Section:
    reference = record.reference
    parts: list[b.Block] = [_size(text)]
    parts += [b.Prose(words=note, manner="aside") for note in text.notes]
    if text.damage:
        parts.append(_costs(text, reference))
    if text.rows:
        parts.append(_recovered(text, record))
    if text.factors:
        parts.append(_factors(text, reference))
    if text.scale:
        parts.append(compute(text.scale, {row.name: row.kind for row in text.rows}))
    elif text.bars:
        parts.append(b.Prose(words=NO_LADDER, manner="aside"))
    if text.bars:
        parts.append(standing(text.bars))
    if any(row.strata for row in text.rows):
        parts.append(_strata(text, reference))
    if text.context:
        parts.append(_context(text.context))
    if text.singles:
        parts.append(_singles(text, reference))
    if text.examples:
        title = "Where the explanation is furthest off"
        caption = "Documents of the eval part."
        parts.append(b.Tokens(key="tokens", title=title, caption=caption, examples=text.examples))
    return b.Section(key=key, title=text.name, blocks=tuple(parts))


def _size(text: TextResult) -> b.Table:
    """How much was predicted, of what, and what stands beside the explanations."""
    rows = [
        b.Row(key="tokens", name="Tokens predicted", cells=(text.tokens,)),
        b.Row(key="documents", name="Documents", note=f"in blocks of at most {text.block}",
              cells=(text.documents,)),
        b.Row(key="fit", name="Fit part",
              cells=(f"{fmt.count(text.fit_documents)} other documents, "
                     f"{fmt.count(text.fit_tokens)} tokens",)),
    ]  # fmt: skip
    if len(text.composition) > 1:
        domains = ", ".join(f"{name} {fmt.count(n)}" for name, n in text.composition.items())
        rows.append(b.Row(key="domains", name="Documents by domain", cells=(domains,)))
    if text.reliability is not None:
        name = "Tokens on which the intact model is right"
        rows.append(b.Row(key="right", name=name, cells=(text.reliability,)))
    if text.tables:
        words = counted(text.tables).removeprefix("N-gram tables: ")
        rows.append(b.Row(key="counted", name="N-gram tables", cells=(words,)))
    if text.twin_seconds is not None:
        name, seconds = "Time of the random-weight twin", f"{text.twin_seconds:g} s"
        rows.append(b.Row(key="twin-seconds", name=name, cells=(seconds,)))
    return b.facts("size", *rows)


# Denominators


def within_noise(damage: Number) -> bool:
    """Whether an ablation's damage cannot be told from zero."""
    if damage.value is None or damage.low is None or damage.high is None:
        return damage.value is None
    return damage.low <= 0 <= damage.high


def _costs(text: TextResult, reference: str) -> b.Section:
    table = b.Table(
        key="damage",
        corner="Ablation",
        columns=(b.Column(key="nats", heading="Damage, nats per token"),),
        rows=tuple(
            b.Row(key=name, name=name, role="ablation", cells=(damage,),
                  note=", ".join(["reference"] * (name == reference)
                                 + ["within noise of zero"] * within_noise(damage)))
            for name, damage in text.damage.items()
        ),
    )  # fmt: skip
    tracks = tuple(
        b.Track(
            name=name,
            note="reference" if name == reference else "",
            tag="within noise of zero" if within_noise(damage) else "",
            role="ablation",
            marks=(table.at(name, "nats"),),
        )
        for name, damage in text.damage.items()
    )
    words = (
        "Damage: loss under the ablation minus loss of the intact model. These are the denominators "
        "of every fraction below; a fraction of a damage that cannot be told from zero is refused."
    )
    forest = b.Forest(key="forest", share=False, tracks=tracks)
    blocks = (b.Prose(words=words), forest, table)
    return b.Section(key="costs", title="What each ablation costs", blocks=blocks)


# Rows


def in_order(text: TextResult) -> tuple[Row, ...]:
    """All rows: the intact model, the ablations, then the kinds as in the charts."""
    order = ["intact", "ablation", *(kind for kind, _ in GROUPS)]
    return tuple(sorted(text.rows, key=lambda row: order.index(row.kind)))


def on_few(row: Row, text: TextResult) -> str:
    """On how many documents a row was measured, where that is not all of the text's."""
    if row.documents is None or row.documents >= text.documents:
        return ""
    return f"on {row.documents:,} of {text.documents:,} documents"


def _beside(row: Row, text: TextResult) -> str:
    """What stands beside a row's name: its kind, unless it is a claim."""
    kind = "" if row.kind == "explanation" else KIND_NAMES.get(row.kind, row.kind)
    return ", ".join(part for part in (kind, on_few(row, text)) if part)


def ablations(text: TextResult, rows: Iterable[Row]) -> tuple[str, ...]:
    """The ablations that rows are measured against."""
    named = (name for row in rows for name in row.recovered)
    return tuple(dict.fromkeys([*text.damage, *named]))


def _table(
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
                b.Row(key=row.name, name=row.name, note=_beside(row, text), role=row.kind,
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
    return _table(
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
    return _table("numbers", rows, text, columns, title="Loss", caption="In nats per token.")


def _more(rows: Sequence[Row], text: TextResult, reference: str) -> b.Table:
    """Everything else about rows, and the fractions against the other ablations."""
    names = [name for name in ablations(text, rows) if name != reference]
    columns = [
        (b.Column(key=f"against {name}", heading=name, group="Recovered against", style="share"),
         [row.recovered.get(name) for row in rows])
        for name in names
    ] + [
        (b.Column(key="loss", heading="Loss"), [row.loss for row in rows]),
        (b.Column(key="agreement", heading="Agreement", note="faithfulness", style="share"),
         [row.agreement for row in rows]),
        (b.Column(key="right", heading="Right", note="reliability", style="share"),
         [row.reliability for row in rows]),
        (b.Column(key="nines", heading="Nines"), [row.nines for row in rows]),
    ]  # fmt: skip
    title, caption = "All other numbers", "Losses in nats per token."
    return _table("more", rows, text, columns, title=title, caption=caption, folded=True)


def _claims(rows: Sequence[Row], text: TextResult) -> b.Table:
    """What each row claims, what it was given, and how long it is."""
    long = [row.description for row in rows]
    columns: list[tuple[b.Column, Sequence[b.Cell]]] = [
        (b.Column(key="says", heading="Claim", words=True), [row.says for row in rows]),
        (b.Column(key="method", heading="Method", words=True),
         [METHOD_NAMES.get(row.method, row.method) for row in rows]),
        (b.Column(key="reads", heading="Reads", words=True),
         [", ".join(row.reads) or None for row in rows]),
        (b.Column(key="leaves", heading="Leaves to the model", words=True),
         [", ".join(row.leaves) or None for row in rows]),
        (b.Column(key="bits", heading="Description, bits"), [d.bits if d else None for d in long]),
        (b.Column(key="code", heading="Of them code"), [d.code_bits if d else None for d in long]),
        (b.Column(key="parameters", heading="Parameters"), [d.parameters if d else None for d in long]),
        (b.Column(key="lent", heading="Lent by the model"), [d.lent if d else None for d in long]),
    ]  # fmt: skip
    return _table("claims", rows, text, columns, title="What each row claims", folded=True)


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
    return [_table("distances", rows, text, columns, title=title, caption=caption, folded=True)]


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
    return [_table("own", rows, text, columns, title=title, caption=caption, **about)]


def _recovered(text: TextResult, record: AssayRecord) -> b.Section:
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


def _factors(text: TextResult, reference: str) -> b.Section:
    cells: dict[tuple[str, str], Number] = {
        (factor.where, factor.amount): factor.recovered for factor in text.factors
    }
    table = b.Table(
        key="square",
        corner="Where",
        shaded=True,
        columns=tuple(
            b.Column(key=key, heading=words, group="How much", style="share")
            for key, words in AMOUNT.items()
        ),
        rows=tuple(
            b.Row(
                key=where,
                name=words,
                note="; ".join(f.row for f in text.factors if f.where == where),
                cells=tuple(cells.get((where, amount)) for amount in AMOUNT),
            )
            for where, words in WHERE.items()
        ),
    )
    says = (
        "A head's pattern says where it looks and how much weight it puts there. Each cell takes one "
        f"from the rule and the other from the model; fraction recovered against {reference} ablation."
    )
    blocks = (b.Prose(words=says), table)
    return b.Section(key="factors", title="Where against how much", blocks=blocks)


# Parts of the tokens


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


def _strata(text: TextResult, reference: str) -> b.Section:
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
        b.Row(key=row.name, name=row.name, note=_beside(row, text), role=row.kind,
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
    return _table(key, rows, text, columns, title=title, caption=caption, folded=True)


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


def _context(context: ContextGain) -> b.Section:
    words = (
        f"How much lower the loss is at “{context.late}” than at “{context.early}”: what earlier text "
        "is worth to the model. What a row loses of it, it loses by using context worse, since the "
        "tokens are the same."
    )
    table = b.Table(
        key="gain",
        caption="Nats per token.",
        corner="Row",
        columns=(
            b.Column(key="gain", heading="Gain in context"),
            b.Column(key="lost", heading="Lost of it"),
        ),
        rows=tuple(
            b.Row(key=name, name=name, cells=(gain, context.lost.get(name)))
            for name, gain in context.gain.items()
        ),
        folded=len(context.gain) > FEW,
    )
    blocks = (b.Prose(words=words), table)
    return b.Section(key="context", title="Gain in context", blocks=blocks)


def _singles(text: TextResult, reference: str) -> b.Section:
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


# Beside the texts


def _heads(record: AssayRecord) -> b.Section:
    ablated = any(head.gain_lost is not None for head in record.heads)
    words = (
        "What the heads do on repeated random tokens (share of attention, 0 to 1), beside the induction "
        "score of a random-weight twin."
        + " Last column: what the gain in context (first copy against second) loses in nats per token "
        "when this head alone is mean-ablated; heads that stand in for each other each lose little."
        * ablated
    )
    columns = [
        b.Column(key="induction", heading="Induction score"),
        b.Column(key="twin", heading="Twin's induction score"),
        b.Column(key="previous", heading="Previous-token score"),
        b.Column(key="duplicate", heading="Duplicate-token score"),
        b.Column(key="lost", heading="Gain in context lost"),
    ]
    table = b.Table(
        key="scores",
        corner="Head",
        columns=tuple(columns if ablated else columns[:-1]),
        rows=tuple(
            b.Row(key=h.site, name=h.site,
                  cells=(h.induction, h.twin_induction, h.previous_token, h.duplicate_token,
                         *[h.gain_lost] * ablated))
            for h in record.heads
        ),
    )  # fmt: skip
    return b.Section(key="heads", title="Head scores", blocks=(b.Prose(words=words), table))


def _cruxes(record: AssayRecord) -> b.Section:
    blocks: list[b.Block] = []
    for crux in record.cruxes:
        blocks.append(b.Prose(words=crux.statement, manner="quote", source=crux.speaker))
        blocks.append(b.Prose(words=crux.bearing))
    return b.Section(key="cruxes", title="Cruxes", blocks=tuple(blocks))
