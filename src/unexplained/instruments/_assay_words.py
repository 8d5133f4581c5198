"""An assay in a sentence, and which of the founding dialogue's statements its numbers bear on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from unexplained.instruments._assay_rows import REFERENCE, ArmRow
from unexplained.instruments._assay_text import OnText
from unexplained.record import blocks as b
from unexplained.record import format as fmt
from unexplained.record.keys import step
from unexplained.shares import percent, untold

SOURCE = (
    "Statements of “How useful is mechanistic interpretability?”, a dialogue of Ryan Greenblatt, Neel "
    "Nanda, Buck Shlegeris and Oliver Habryka (LessWrong, 2023), and what these numbers say of them."
)
ROOM = 0.25
"""Of the ablation's damage: a control that may recover more has not shown that it recovers nothing."""
COLUMNS, OTHERS = 3, 2
"""Of an answer: texts, and claims besides the first, that it has room for."""


def verdict_of(texts: Sequence[OnText], sites: Sequence[str]) -> str:
    """What was found on each text, in words; never a bare pass or fail."""
    told, refused = [], []
    for text in texts:
        share, cost = text.row().numbers.recovered[REFERENCE], text.damage[REFERENCE]
        if share.value is not None and cost.low is not None:
            worse = " (worse than the ablation)" * share.below_zero
            told.append(f"{percent(share)} on {text.name}{worse}")
        else:
            refused.append(
                (
                    text.name,
                    untold(share)
                    or untold(cost)
                    or "the interval of what it costs has an open end",
                )
            )
    what = f"of what {REFERENCE} ablation of {fmt.in_short(sites)} costs"
    parts = [f"on {name} that is refused: {why}" for name, why in refused]
    if told:
        said = "; ".join([f"{what} it accounts for {' and for '.join(told)}", *parts])
    else:
        (name, why), parts = refused[0], parts[1:]
        said = "; ".join([f"how much it accounts for {what} on {name} is refused: {why}", *parts])
    primary = texts[0].primary
    return f"“{primary[:1].upper()}{primary[1:]}”: {said}."


def answer_of(texts: Sequence[OnText]) -> b.Answer:
    """The claim, the best of the others of every kind, its controls; and what shares are shares of."""
    shown = texts[:COLUMNS]
    first = {row.name: row for row in shown[0].rows}
    common = [
        row for row in first.values() if all(row.name in {r.name for r in t.rows} for t in shown)
    ]

    def best(*roles: str) -> list[ArmRow]:
        some = [row for row in common if row.card.role in roles and row.name != shown[0].primary]
        known = [row for row in some if row.numbers.recovered[REFERENCE].value is not None]
        return sorted(known, key=lambda row: -(row.numbers.recovered[REFERENCE].value or 0.0))

    tells = [
        row for row in common if row.card.must is not None and row.card.must.gives == "nothing"
    ]
    rows = [
        (first[shown[0].primary], "the claim"),
        *((row, "another claim") for row in best("explanation")[:OTHERS]),
        *((row, "fitted") for row in best("fitted")[:1]),
        *((row, "for the whole model, claims nothing of it") for row in best("baseline")[:1]),
        *((row, "another ablation") for row in best("ablation")[:1] if row.name != REFERENCE),
        *((row, f"control, {_held(row.name, shown)}") for row in tells[:1]),
        *((row, "should recover nothing") for row in common if row.card.role == "twin"),
    ]
    return b.Answer(
        corner="In the components' place",
        columns=tuple(
            b.Column(key=f"text-{i}", heading=f"Recovered on {text.name}", style="share",
                     note=f"{text.documents:,} documents" * bool(text.documents))
            for i, text in enumerate(shown, 1)
        ),
        rows=tuple(
            b.AnswerRow(name=row.name, note=note, role=row.card.role,
                        cells=tuple(f"text-{i}/recovered/fractions/{step(row.name)}/against {REFERENCE}"
                                    for i in range(1, len(shown) + 1)))
            for row, note in rows
        ),
        beside=(
            b.AnswerRow(name=f"What {REFERENCE} ablation costs",
                        cells=tuple(f"text-{i}/costs/damage/{REFERENCE}/nats"
                                    for i in range(1, len(shown) + 1))),
        ),
        says=first[shown[0].primary].card.claimed,
        picture="text-1/recovered/forest",
    )  # fmt: skip


def _held(name: str, texts: Sequence[OnText]) -> str:
    """Whether a control that should recover nothing did."""
    checks = [check for text in texts for check in text.checks if check.name == name]
    if not all(check.holds for check in checks):
        return "FAILED: it recovers something"
    if not any(check.applies for check in checks):
        return "cannot tell"
    found = [check.found for check in checks if check.applies]
    if any(one.above_zero for one in found):
        return "holds: under a tenth of the claim's"
    # What may be nothing and may be much is no evidence of nothing.
    wide = any(one.high is None or one.high > ROOM for one in found)
    return "too noisy to tell" if wide else "holds: recovers nothing"


class Crux(NamedTuple):
    """Which statement of the founding dialogue a number bears on."""

    speaker: str
    statement: str
    bearing: str


def cruxes(texts: Sequence[OnText]) -> Iterator[b.Section]:
    """Statements of the dialogue, and what each text's numbers say of them."""
    blocks: list[b.Block] = []
    for crux in (crux for text in texts for crux in cruxes_of(text)):
        blocks.append(b.Prose(words=crux.statement, manner="quote", source=crux.speaker))
        blocks.append(b.Prose(words=crux.bearing))
    if blocks:
        blocks.insert(0, b.Prose(words=SOURCE))
        yield b.Section(key="cruxes", title="Cruxes", blocks=tuple(blocks))


def cruxes_of(text: OnText) -> Iterator[Crux]:
    """Which statements one text's numbers bear on, and how."""
    share = _frontier(text)
    if text.primary == "strict induction":
        recovered = text.row().numbers.recovered[REFERENCE]
        bearing = (
            f"how much of the loss against {REFERENCE} ablation it explains is refused: {why}"
            if (why := untold(recovered))
            else f"{percent(recovered)} of the loss against {REFERENCE} ablation"
        )
        if share:
            bearing += f"; of the compute the explained model keeps {share}"
        yield Crux(
            "Buck against Neel Nanda",
            "strict induction explains less than 1% of such heads by Buck's own measure, 10–20% of the loss against mean ablation",
            f"on {text.name}: {bearing}",
        )
    if said := _easy_bar(text):
        yield Crux(
            "Buck",
            "very high proportions of loss explained even if you don't explain anything about the "
            "parts of your model that are actually smart",
            said,
        )
    if said := _weaker(text):
        yield Crux(
            "Ryan Greenblatt",
            "if you have <98% perf explained, then you degrade from GPT4 perf to GPT3.5 perf",
            f"the same on this ladder, on {text.name}: {said}",
        )
    if share:
        yield Crux(
            "Ryan Greenblatt",
            "look at the absolute loss and determine where this is on an overall training compute "
            "scaling curve",
            f"of the training compute that the model's own loss on {text.name} is worth, "
            f"“{text.primary}” leaves {share}",
        )


def _frontier(text: OnText) -> str:
    """The claim's share of the frontier's compute by the curve that was chosen, in words; none if refused."""
    if text.scale is None:
        return ""
    kind = text.scale.kind
    one = next((one for one in text.scale.explained if one.condition == text.primary), None)
    share = one.shares.get(kind) if one else None
    far = ", extrapolated" if one and text.scale.extrapolated(one, kind) else ""
    # What is refused would break the sentence; it stands in its table.
    return "" if share is None or untold(share) else percent(share) + far


def _easy_bar(text: OnText) -> str:
    """The best table of counts on the mean bar and on the gap bar."""
    known = {table.name for table in text.tables}
    tables = [one for one in text.bars if one.condition in known and one.loss.value is not None]
    if not tables:
        return ""
    bars = min(tables, key=lambda one: one.loss.value or 0.0)
    shares = {
        one.baseline: percent(one.recovered)
        for one in bars.baselines
        if one.recovered.value is not None
    }
    # What is refused would break the sentence; it stands in its table.
    gaps = [
        f"{percent(r.score)} of the gap to {r.rung}"
        for r in bars.rungs
        if r.score.value is not None
    ]
    against = {REFERENCE: f"{REFERENCE} ablation of the components", "unigram": "a unigram table"}
    said = [f"{shares[key]} against {words}" for key, words in against.items() if key in shares]
    said += gaps[-1:]
    if not said:
        return ""
    return (
        f"on {text.name} a {bars.condition} table, which explains nothing of the model, scores "
        + ", ".join(said)
    )


def _weaker(text: OnText) -> str:
    """How high the fraction of a weaker model is that is offered as an explanation."""
    return "; ".join(
        f"{rung.rung} recovers {percent(rung.share['unigram'])} from unigram, "
        f"{percent(rung.share['bigram'])} from bigram"
        for rung in text.bars[0].rungs
        # Weaker for certain: of one that may be better nothing is said.
        if rung.gap.low is not None
        and rung.gap.low > 0
        and all(rung.share[base].value is not None for base in ("unigram", "bigram"))
    )
