"""`assay`: stated explanations in the place of components, text by text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

from unexplained import study
from unexplained.bars.scales import NO_LADDER, compute
from unexplained.bars.standing import standing
from unexplained.instruments import _assay_rows as assay_rows
from unexplained.instruments import _assay_strata as assay_strata
from unexplained.record import blocks as b
from unexplained.record import format as fmt
from unexplained.record.tables import counted
from unexplained.study import Claims, Headline, Option, Texts, instrument
from unexplained.study.given import PythonOnly
from unexplained.study.instrument import told

if TYPE_CHECKING:
    from unexplained.explanations import Explanation
    from unexplained.record import AssayRecord, ContextGain, HeadScore, Number, TextResult
    from unexplained.study import Run

FEW = 8
"""Rows up to which the gain in context is shown unasked."""
WHERE = {"rule": "as the rule says", "own": "as the model does"}
AMOUNT = {"all": "everything, as the rule says", "own": "as much as the model does"}


@instrument("assay", texts=Texts(documents=96, fit_documents=64, many=True))
def assay(
    run: Run,
    sites: Annotated[
        str,
        Option('Components, e.g. "L18.H6 L17.H3-5"; the strongest if not given.', option="--heads"),
    ] = "",
    *,
    top: Annotated[int, Option("How many of the strongest induction heads.", least=1)] = 5,
    explanations: Annotated[
        Sequence[Explanation] | None,
        Claims(
            "A library name, my.py or my.py:name; the first is shown in detail.",
            option="--explanation",
            early=True,
        ),
    ] = None,
    heads: Annotated[Sequence[HeadScore] | None, PythonOnly()] = None,
    singles: Annotated[int, Option("Components measured alone as well.", least=0)] = 5,
    twin: Annotated[bool, Option("Measure a model with random weights beside it.")] = True,
) -> Iterator[b.Block | Headline]:
    """Put stated explanations in the place of heads and measure them on text.

    Where no explanation is given the ladder of induction rules is used; where no components are,
    the model's strongest induction heads on repeated random tokens.

    Args:
        run: The model, and one text or several. Fills and maps are fitted on each one's fit part.
        sites: The components.
        top: How many heads are taken where none are named.
        explanations: What is claimed of them, the first being the one shown in detail.
        heads: Behavioural scores to print beside (`head_scores`); measured where heads are to be
            found.
        singles: For how many of the components to measure the claim alone too.
        twin: Whether to run the random-weight twin as well.

    Raises:
        UnexplainedError: As `assays.assay`, all that can be told before anything is run.
    """
    from unexplained.assays.assay import assay as measured
    from unexplained.study.heads import scored, strongest

    # Of heads that are still to be found, any will do to ask whether explanations can stand there.
    study.asked.require_assay(
        run.subject, sites or "L*.H*", run.texts, explanations=explanations, twin=twin,
        singles=singles, folder=run.folder,
    )  # fmt: skip
    if not sites and heads is None:
        heads = scored(run.subject, run.texts, top, twin=twin, settings=run.settings,
                       folder=run.folder, say=run.say)  # fmt: skip
    found = measured(
        run.subject, sites or strongest(heads or (), top), run.texts, explanations=explanations,
        heads=(heads or ())[: max(2 * top, 10)], settings=run.settings, twin=twin, singles=singles,
        folder=run.folder, say=run.say,
    )  # fmt: skip
    yield from told(run, found, blocks(found), sheet(found))


def blocks(record: AssayRecord) -> Iterator[b.Block]:
    """What was found, as blocks."""
    yield _facts(record)
    for i, text in enumerate(record.texts, start=1):
        yield _text(text, record, f"text-{i}")
    if record.checks:
        caption = "Conditions whose result is known beforehand."
        checks = b.Checks(key="checks", title="", caption=caption, checks=record.checks)
        yield b.Section(key="controls", title="Controls", blocks=(checks,))
    if record.heads:
        yield _heads(record)
    if record.cruxes:
        yield _cruxes(record)


def sheet(record: AssayRecord) -> dict[str, str]:
    """What was measured on."""
    found = {f"Text {text.name}": text.fingerprint for text in record.texts}
    return found | {"Sites": ", ".join(record.sites), "Reference ablation": record.reference}


def _facts(record: AssayRecord) -> b.Table:
    many = len(record.sites)
    return b.facts(
        "facts",
        b.Row(key="model", name="Model", cells=(record.subject,)),
        b.Row(key="sites", name="Site" if many == 1 else f"{many} sites",
              cells=(fmt.in_short(record.sites),)),
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
        parts.append(assay_rows.section(text, record))
    if text.factors:
        parts.append(_factors(text, reference))
    if text.scale:
        parts.append(compute(text.scale, {row.name: row.kind for row in text.rows}))
    elif text.bars:
        parts.append(b.Prose(words=NO_LADDER, manner="aside"))
    if text.bars:
        parts.append(standing(text.bars))
    if any(row.strata for row in text.rows):
        parts.append(assay_strata.section(text, reference))
    if text.context:
        parts.append(_context(text.context))
    if text.singles:
        parts.append(assay_rows.singles(text, reference))
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
