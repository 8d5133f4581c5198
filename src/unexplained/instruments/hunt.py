"""`hunt`: where a component helps and the claim about it does not: counterexamples (MISSION 34).

Neel Nanda on copy suppression (McDougall and others 2023): nobody "did actually find any dataset
examples where the head matters by something other than copy suppression", looking at "random samples
from the top 5% of times the head improved loss, after filtering out copy suppression algorithmically".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from unexplained import study
from unexplained.bars import hunting
from unexplained.bars.cards import claimed
from unexplained.errors import MeasurementError, TextError, require_count
from unexplained.record import format as fmt
from unexplained.record.blocks import Block, Example, Prose, Section, Token, Tokens, fact, facts
from unexplained.study import Claims, Headline, Option, Texts, instrument
from unexplained.study.given import Unpriced
from unexplained.study.sheet import of_text

if TYPE_CHECKING:
    from unexplained.bars.counterexamples import Hunt
    from unexplained.bars.reading import Reading
    from unexplained.explanations.stand_in import StandIn
    from unexplained.sites import Site
    from unexplained.study import Run

REFERENCE = "mean"
"""The ablation that takes the component away."""
BEFORE, AFTER = 24, 4
"""Tokens shown around a prediction."""
FEWEST = 10
"""Documents: five of either half."""


def _asked(given: Mapping[str, Any]) -> None:
    """Refuse more than one claim, and pairs of prompts."""
    if len(given["claim"] or ()) > 1:
        raise MeasurementError(
            f"A hunt with {len(given['claim'])} claims", "it takes one at a time",
            "Give one --explanation.",
        )  # fmt: skip


@instrument(
    "hunt",
    precise="The help of single predictions",
    before=_asked,
    texts=Texts(fewest=FEWEST),
    unpriced=Unpriced(
        "it asks of single predictions which a claim keeps, and of no loss of the whole"
    ),
)
def hunt(
    run: Run,
    sites: Annotated[
        str,
        Option("Components, all explained together; the strongest induction head if not given."),
    ] = "",
    *,
    claim: Annotated[
        Sequence[StandIn] | None,
        Claims("A library name, my.py or my.py:name.", option="--explanation", early=True),
    ] = None,
    top: Annotated[
        float, Option("Share of predictions that are looked at.", between=(0, 1))
    ] = 0.05,
    keeps: Annotated[
        float,
        Option(
            "Share of a prediction's help that the claim must keep to explain it.", between=(0, 1)
        ),
    ] = 0.5,
    sample: Annotated[int, Option("Predictions that are shown in context.", least=0)] = 12,
    twin: Annotated[bool, Option("Measure a model with random weights beside it.")] = True,
) -> Iterator[Block | Headline]:
    """Look for predictions that a component helps and the claim about it does not: counterexamples.

    Predictions are ranked by help: loss with the component ablated by its mean, less the loss intact.
    Of those helped most the claim explains those where, in the component's place, it keeps enough; a
    random sample of the rest is shown in context. Harm is counted the same way.

    Args:
        run: The model, and a running text. Means and maps are fitted on its fit part.
        sites: The components.
        claim: What is claimed of them; strict induction if not given.
        top: Share of all predictions that are looked at, of those that are helped at all.
        keeps: Share of a prediction's help that makes it explained.
        sample: How many of those that are left are shown, drawn at random.
        twin: Whether the same is done in a model with random weights.

    Raises:
        MeasurementError: A share is out of bounds, there are several claims, the model is in half
            precision, or a loss is not finite.
        TextError: The text is one of pairs, of another model's tokens, or too small.
        UnexplainedError: As for every claim that cannot stand there.
    """
    study.asked.require_share(top, "top", "predictions")
    study.asked.require_share(keeps, "keeps", "a prediction's help")
    require_count("sample", sample, least=0)
    stated = _claim(run, claim)
    where = _sites(run, sites, stated, twin)
    found, read = _measured(run, where, stated, top, keeps, twin=twin)
    first = found.claim.hunt
    yield Headline(
        f"What {stated.name} leaves of {found.where} in {run.subject.name}",
        hunting.verdict(found),
        {"Sites": ", ".join(map(str, where)), "Reference ablation": REFERENCE},
    )
    yield hunting.answer(found, claimed(stated.name, stated.says))
    yield facts(
        "facts",
        fact("model", "Model", run.subject.name),
        fact("sites", "Components", found.where),
        fact("claim", "Claim", stated.name, stated.says),
        *of_text(run.text),
        fact("nothing", "Taken away", f"{REFERENCE} ablation"),
        *hunting.facts_of(found),
    )
    yield hunting.sides(found)
    yield hunting.strata(_by_stratum(run, first))
    if examples := _examples(run, read, stated.name, first, sample):
        yield _shown(examples, sum(int(one.sum()) for one in first.left.values()))
    yield from (Prose(words=note, manner="aside") for note in run.text.notes)


def _claim(run: Run, claim: Sequence[StandIn] | None) -> StandIn:
    """The one claim, on a text that it can be measured on."""
    from unexplained.explanations import LIBRARY

    claims = [LIBRARY.get("strict_induction")] if claim is None else list(claim)
    if len(claims) != 1:
        raise MeasurementError(
            f"A hunt with {len(claims)} claims", "it takes one at a time", "Give one explanation."
        )
    if run.text.pairs:
        raise TextError(
            f"A hunt on {run.text.name}", "it is pairs of prompts, each scored at its end alone",
            "Use webmix or a file of running text.",
        )  # fmt: skip
    if len(run.text.eval) < FEWEST:
        raise TextError(
            f"A hunt on {len(run.text.eval)} documents", f"it takes {FEWEST}", "Ask for more."
        )
    return claims[0]


def _sites(run: Run, sites: str, claim: StandIn, twin: bool) -> tuple[Site, ...]:
    """The components, checked before anything is run; found where none are named."""
    from unexplained.study.heads import scored, strongest

    def asked(address: str) -> tuple[Site, ...]:
        return study.asked.require_assay(
            run.subject, address, run.texts, explanations=[claim], twin=twin, singles=1,
            folder=run.folder,
        )[1]  # fmt: skip

    where = asked(sites or "L*.H*")
    return where if sites else asked(strongest(scored(run, 0, twin=False), 1))


def _measured(
    run: Run, where: Sequence[Site], claim: StandIn, top: float, keeps: float, *, twin: bool
) -> tuple[hunting.HuntFindings, Reading]:
    """The claim, the control that can tell, and the claim where nothing was learned."""
    from unexplained.study import arms
    from unexplained.study.twins import TWIN, few

    (stated,) = arms.claims(run, where, [claim])
    tells = [one for one in stated.controls if one.card.must and one.card.must.gives == "nothing"]
    beside = [one.name for one in tells]
    read = run.measure(
        arms.ablation(run, REFERENCE, where), stated,
        tokens=["intact", REFERENCE, stated.name, *beside], what="measuring claim and ablation",
    )  # fmt: skip
    rows = [hunting.Hunted("claim", stated.name, "", "explanation",
                           read.hunted(stated.name, REFERENCE, top=top, keeps=keeps))]  # fmt: skip
    rows += [hunting.Hunted("elsewhere", "the same elsewhere", name, "control",
                            read.hunted(name, REFERENCE, top=top, keeps=keeps))
             for name in beside]  # fmt: skip
    if twin:
        with run.timed(TWIN):
            there = run.of(run.subject.twin(run.settings.seed)).on(few(run.text))
            (again,) = arms.claims(there, where, [claim], controls=())
            one = again.called(f"{claim.name} on the random-weight twin", role="twin")
            other = there.measure(
                one, arms.ablation(there, REFERENCE, where), what=one.name,
                tokens=["intact", REFERENCE, one.name],
            )  # fmt: skip
            rows.append(hunting.Hunted("twin", "the same, random weights", "", "twin",
                        other.hunted(one.name, REFERENCE, top=top, keeps=keeps)))  # fmt: skip
    names = fmt.in_short(list(map(str, where)))
    return hunting.HuntFindings(names, tuple(rows), top, keeps), read


def _by_stratum(run: Run, found: Hunt) -> dict[str, Any]:
    from unexplained import bars

    labels = {block.document: run.text.labels(block) for block in run.text.eval}
    partitions = sorted({partition for one in labels.values() for partition in one})
    return {
        partition: bars.by_stratum(
            found, {name: one[partition] for name, one in labels.items()}, run.settings
        )
        for partition in partitions
    }


# In context


def _examples(run: Run, read: Reading, claim: str, found: Hunt, sample: int) -> tuple[Example, ...]:
    """Some of the predictions that are left, drawn at random."""
    import numpy as np

    left = [(name, int(i)) for name, mask in found.left.items() for i in np.flatnonzero(mask)]
    draw = np.random.default_rng(run.settings.seed)
    chosen = sorted(draw.choice(len(left), min(sample, len(left)), replace=False)) if left else []
    return tuple(_example(run, read, claim, *left[i]) for i in chosen)


def _example(run: Run, read: Reading, claim: str, document: str, number: int) -> Example:
    """The prediction with the text around it; it is of the token after as many."""
    tokenizer: Any = run.subject.tokenizer
    block = next(one for one in run.text.eval if one.document == document)
    rows = {name: read.ledger.token_rows(read.card(name).condition if name != "intact" else name, document)
            for name in ("intact", claim, REFERENCE)}  # fmt: skip
    labels = run.text.labels(block).get("recurrence")
    at = number + 1
    first, last = max(0, at - BEFORE), min(len(block.tokens), at + AFTER + 1)

    def token(i: int) -> Token:
        text = tokenizer.decode([int(block.tokens[i])])
        if i == 0:
            return Token(text=text, intact=None, explained=None, ablated=None)
        intact, explained, ablated = (rows[name][0][i - 1] for name in rows)
        return Token(
            text=text, intact=intact, explained=explained, ablated=ablated,
            intact_says=tokenizer.decode([rows["intact"][1][i - 1]]),
            explained_says=tokenizer.decode([rows[claim][1][i - 1]]),
            label="" if labels is None else str(labels[i - 1]),
        )  # fmt: skip

    shown = tuple(map(token, range(first, last)))
    mine = shown[at - first]
    assert mine.explained is not None and mine.intact is not None
    return Example(
        document=document, domain=block.domain, row=claim, excess=mine.explained - mine.intact,
        tokens=shown, at=at - first,
    )  # fmt: skip


def _shown(examples: tuple[Example, ...], of: int) -> Section:
    caption = (
        f"{len(examples)} of {of:,} predictions that the component helps most and the claim does not "
        "explain, drawn at random: what the component does besides, or the claim's own faults."
    )
    return Section(
        key="left",
        title="Counterexamples in context",
        blocks=(Tokens(key="contexts", caption=caption, examples=examples),),
    )
