"""`assay`: stated explanations in the place of components, text by text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any

from unexplained import study
from unexplained.instruments._assay_attention import attention_beside
from unexplained.instruments._assay_rows import REFERENCE, ArmRow
from unexplained.instruments._assay_text import OnText, size_of
from unexplained.instruments._assay_words import answer_of, cruxes, verdict_of
from unexplained.record import HeadScore
from unexplained.record import blocks as b
from unexplained.record import format as fmt
from unexplained.sites import ADDS
from unexplained.study import Claims, Headline, Option, Texts, arms, instrument
from unexplained.study.given import FAMILY, PythonOnly

if TYPE_CHECKING:
    from unexplained.bars.cards import Card
    from unexplained.bars.reading import Reading
    from unexplained.explanations import Explanation
    from unexplained.explanations.stand_in import StandIn
    from unexplained.ladder.family import Family
    from unexplained.sites import Site
    from unexplained.study import Arm, Run
    from unexplained.study.axis import Axis
    from unexplained.study.stated import Rules

SINGLE_DOCUMENTS = 32
"""Documents on which components are measured alone."""
EXAMPLES = 4
"""How many documents are shown token by token."""


def _precise(given: Mapping[str, Any]) -> None:
    """Refuse effects of single heads in half precision."""
    from unexplained.opening import require_full_precision

    if given["singles"]:
        require_full_precision("The effect of a single head (singles=0; --singles 0 leaves it out)")


@instrument("assay", before=_precise, texts=Texts(many=True))
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
    family: Annotated[Family | None, FAMILY] = None,
    twin: Annotated[bool, Option("Measure a model with random weights beside it.")] = True,
) -> Iterator[b.Block | Headline]:
    """Put stated explanations in the place of heads and measure them on text.

    Where no explanation is given those of induction are used; where no components are,
    the model's strongest induction heads on repeated random tokens.

    Args:
        run: The model, and one text or several. Fills and maps are fitted on each one's fit part.
        sites: The components.
        top: How many heads are taken where none are named.
        explanations: What is claimed of them, the first being the one shown in detail.
        heads: Behavioural scores to print beside (`head_scores`); measured where heads are to be
            found.
        singles: For how many of the components to measure the claim alone too.
        family: Weaker models that losses are placed among; the ladder's if not given.
        twin: Whether to run the random-weight twin as well.

    Raises:
        MeasurementError: A loss is not finite, or a finished batch cannot be kept.
        UnexplainedError: As `require_assay`, all that can be told before anything is run.
    """
    from unexplained.study.axis import axis_of
    from unexplained.study.heads import scored, strongest

    asked = partial(
        study.asked.require_assay, run.subject, texts=run.texts, explanations=explanations,
        twin=twin, singles=singles, folder=run.folder,
    )  # fmt: skip
    # Of heads that are still to be found, any will do to ask whether explanations can stand there.
    rules, where = asked(sites or "L*.H*")
    axes = [axis_of(at, family) for at in run.each_text()]
    if not sites:
        heads = scored(run, top, twin=twin) if heads is None else heads
        rules, where = asked(strongest(heads, top))
    found = [_measured(axis, rules, where, twin=twin, singles=singles) for axis in axes]
    primary = rules.primary.name
    yield Headline(
        f"{primary[:1].upper()}{primary[1:]} in {run.subject.name}",
        verdict_of(found, list(map(str, where))),
        {"Sites": ", ".join(map(str, where)), "Reference ablation": REFERENCE},
    )
    yield answer_of(found)
    yield _facts(run, where)
    yield from blocks(found, (heads or ())[: max(2 * top, 10)])
    yield from cruxes(found)


def blocks(texts: Sequence[OnText], heads: Sequence[HeadScore]) -> Iterator[b.Block]:
    """What was found on some texts, their controls, and what heads do on repeated tokens."""
    for i, text in enumerate(texts, start=1):
        yield b.Section(key=f"text-{i}", title=text.name, blocks=tuple(text.blocks()))
    caption = "Conditions whose result is known beforehand."
    checks = tuple(check for text in texts for check in text.checks)
    controls = b.Checks(key="checks", title="", caption=caption, checks=checks)
    yield b.Section(key="controls", title="Controls", blocks=(controls,))
    if heads:
        yield _heads(heads)


def _facts(run: Run, where: Sequence[Site]) -> b.Table:
    names = list(map(str, where))
    return b.facts(
        "facts",
        b.fact("model", "Model", run.subject.name),
        b.fact("sites", "Site" if len(names) == 1 else f"{len(names)} sites", fmt.in_short(names)),
        b.fact("texts", "Text" if len(run.texts) == 1 else "Texts",
               ", ".join(text.name for text in run.texts)),
    )  # fmt: skip


# Measuring


def _measured(
    axis: Axis, rules: Rules, where: Sequence[Site], *, twin: bool, singles: int
) -> OnText:
    """One text: the claims with their controls, ablations, tables and weaker models, at once."""
    at, primary, text = axis.run, rules.primary.name, axis.run.text
    claims = arms.claims(at, where, rules.explanations, controls=[primary], prices=True)
    fills = _fills(at, where)
    tables = arms.tables(at)
    read = at.measure(
        *_with_direct([*fills, *claims], where, primary), *tables, *axis.arms,
        tokens=axis.tokens("intact", REFERENCE, primary),
    )  # fmt: skip
    rows = [_row(read, card) for card in _cards(read)]
    alone = _singles(at, rules.primary, where[:singles]) if singles else ()
    beside = _twin(at, rules.primary, where) if twin else ()
    placed = axis.read(read)
    weaker, seeds = axis.compared, axis.seeds(placed)
    names = [*(one.name for one in (*fills, *claims, *tables)), *weaker]
    baselines = [*(one.name for one in tables), REFERENCE]
    factors = read.factors(rules.cells, REFERENCE) if rules.cells else None
    nested = {
        then: (one, read.regained(one, then, REFERENCE)) for one, then in pairwise(rules.nested)
    }
    counted = tuple(one.card.counted for one in tables if one.card.counted)
    # Activations that were read are kept for the whole run: this reads nothing again.
    fitted = at.observe([]).tokens
    return OnText(
        name=text.name,
        documents=len(text.eval),
        primary=primary,
        size=size_of(text, fitted, read.reliability(), counted),
        notes=(*text.notes, *axis.notes, *([factors.sentence] if factors else []), *_scalars(read)),
        damage={one.name: read.damage(one.name) for one in fills},
        rows=(*rows, *beside),
        tables=counted,
        factors=factors.table if factors else (),
        nested=nested,
        bars=placed.bars(names, baselines, weaker, seeds),
        scale=axis.scale(placed, names),
        context=read.context([row.name for row in rows if row.card.role != "baseline"]),
        singles=alone,
        examples=_examples(at, read, primary),
        attention=attention_beside(at, rules.primary, where[0]),
        checks=read.checks(),
    )


def _fills(at: Run, where: Sequence[Site]) -> list[Arm]:
    """Every ablation that one reading of the fit part is enough for."""
    from unexplained.ablations import ABLATIONS, plain

    kinds = ABLATIONS.all().items()
    return [arms.ablation(at, name, where) for name, kind in kinds if plain(kind)]


def _with_direct(found: Sequence[Arm], where: Sequence[Site], primary: str) -> list[Arm]:
    """The claims and the reference with their direct effects, where components have some.

    The claim shown in detail also with the final norm frozen; of controls whose result is known
    nothing is left to be asked.
    """
    if not all(site.part in ADDS for site in where):
        return list(found)

    def direct(one: Arm) -> Arm:
        if one.name in (primary, REFERENCE):
            one = one.also("direct", "direct, norm frozen")
        elif not _known(one.card) and one.card.role != "ablation":
            one = one.also("direct")
        return replace(one, controls=tuple(map(direct, one.controls)))

    return list(map(direct, found))


def _known(card: Card) -> bool:
    """Whether an arm is another by construction."""
    return card.must is not None and card.must.gives == "the same"


def _cards(read: Reading) -> list[Card]:
    """The arms that are rows, in order: of controls the one that can tell, the ends, a map's price."""
    controls = read.of("control")
    tells = [card for card in controls if card.must and card.must.gives == "nothing"]
    ends = [card for card in controls if _known(card)]
    prices = [card for card in controls if card.must is None]
    stated = (*read.of("ablation"), *read.of("explanation", "fitted"), *read.of("baseline"))
    return [*stated, *tells, *ends, *prices]


def _row(read: Reading, card: Card, **about: Any) -> ArmRow:
    against = [one.name for one in read.of("ablation")]
    return ArmRow(card, read.row(card.name, against, REFERENCE), **about)


def _twin(at: Run, primary: StandIn, where: Sequence[Site]) -> tuple[ArmRow]:
    """The claim on a model with random weights, with its own fills and denominators."""
    from unexplained.study.twins import TWIN, few

    with at.timed(TWIN):
        there = at.of(at.subject.twin(at.settings.seed)).on(few(at.text))
        name = f"{primary.name} on the random-weight twin"
        (claim,) = arms.claims(there, where, [primary], controls=())
        there_too = claim.called(name, role="twin")
        every = _with_direct([there_too, *_fills(there, where)], where, "")
        read = there.measure(*every, what=name)
        own = {one.name: read.damage(one.name) for one in read.of("ablation")}
        return (_row(read, read.card(name), own=own, documents=_some(there, at)),)


def _singles(at: Run, primary: StandIn, where: Sequence[Site]) -> tuple[ArmRow, ...]:
    """The claim at each component alone, against the reference ablation of that one alone."""
    few = at.on(at.text.first(SINGLE_DOCUMENTS))
    pairs = []
    for site in where:
        (claim,) = arms.claims(at, (site,), [primary], controls=())
        ablated = arms.ablation(at, REFERENCE, (site,))
        pairs.append([one.called(f"{one.name} at {site} alone") for one in (claim, ablated)])
    every = [one for pair in pairs for one in pair]
    read = few.measure(*every, what=f"{primary.name} at one site alone")
    rows = []
    for claim, ablated in pairs:
        against = ablated.name
        numbers = read.row(claim.name, [against], against, strata=False)
        recovered = {REFERENCE: numbers.recovered[against]}
        own = {REFERENCE: read.damage(against)}
        numbers = replace(numbers, recovered=recovered)
        rows.append(ArmRow(claim.card, numbers, own, _some(few, at)))
    return tuple(rows)


def _some(few: Run, whole: Run) -> tuple[int, int] | None:
    """On how many of how many documents, where that is not all of them."""
    some, every = len(few.text.eval), len(whole.text.eval)
    return (some, every) if some < every else None


def _scalars(read: Reading) -> list[str]:
    return [
        f"{card.name}: fitted scalars "
        + ", ".join(
            f"{site} {scalar:.2f}".replace("-", fmt.MINUS) for site, scalar in card.scalars.items()
        )
        for card in _cards(read)
        if card.scalars
    ]


# Token by token


def _examples(at: Run, read: Reading, claim: str) -> tuple[b.Example, ...]:
    """The documents with the greatest loss per token under a claim over the intact loss.

    None of prompts in pairs, which are scored at their ends alone.
    """
    import numpy as np

    if at.text.pairs:
        return ()
    full, under = read.ledger.sums("intact"), read.ledger.sums(claim)
    excess = (under.loss - full.loss) / np.maximum(full.tokens, 1)
    documents = [full.documents[i] for i in np.argsort(-excess, kind="stable")[:EXAMPLES]]
    blocks = {block.document: block for block in at.text.eval}
    return tuple(
        b.Example(
            document=name,
            domain=blocks[name].domain,
            row=claim,
            excess=float(excess[full.documents.index(name)]),
            tokens=_tokens(at, read, claim, name),
        )
        for name in documents
    )


def _tokens(at: Run, read: Reading, claim: str, document: str) -> tuple[b.Token, ...]:
    tokenizer: Any = at.subject.tokenizer
    block = next(block for block in at.text.eval if block.document == document)
    intact, says = read.ledger.token_rows("intact", document)
    explained, explained_says = read.ledger.token_rows(claim, document)
    ablated, _ = read.ledger.token_rows(REFERENCE, document)
    labels = at.text.labels(block)["recurrence"]
    first, *ids = block.tokens.tolist()
    return (
        b.Token(text=tokenizer.decode([first]), intact=None, explained=None, ablated=None),
        *(
            b.Token(
                text=tokenizer.decode([token]),
                intact=intact[i],
                explained=explained[i],
                ablated=ablated[i],
                intact_says=tokenizer.decode([says[i]]),
                explained_says=tokenizer.decode([explained_says[i]]),
                label=str(labels[i]),
            )
            for i, token in enumerate(ids)
        ),
    )


# Beside the texts


def _heads(scores: Sequence[HeadScore]) -> b.Section:
    ablated = any(head.gain_lost is not None for head in scores)
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
            for h in scores
        ),
    )  # fmt: skip
    return b.Section(key="heads", title="Head scores", blocks=(b.Prose(words=words), table))
