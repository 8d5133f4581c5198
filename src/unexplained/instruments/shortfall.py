"""`shortfall`: of what a claim falls short, how much the substitution is to blame for, and how much is wrong.

Neel Nanda: ablations are clumsy, a missing 40% need not be the explanation's fault. Buck Shlegeris: or
the explanation is importantly wrong. Ryan Greenblatt: retrain the rest of the model on top of it (*How
useful is mechanistic interpretability?*, LessWrong 2023; MISSION 20–22).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from unexplained.bars import splits
from unexplained.bars.cards import claimed
from unexplained.bars.steps import steps as steps_of
from unexplained.errors import MeasurementError, require_count
from unexplained.record.blocks import Block, Prose, fact, facts
from unexplained.study import Claims, Headline, Option, Texts, instrument
from unexplained.study.given import Unpriced
from unexplained.study.sheet import of_text

if TYPE_CHECKING:
    from unexplained.explanations.stand_in import StandIn
    from unexplained.study import Run

FEWEST = 3


def _asked(given: Mapping[str, Any]) -> None:
    """Refuse more than one claim."""
    if len(given["claim"] or ()) > 1:
        raise MeasurementError(
            f"A shortfall of {len(given['claim'])} claims", "it takes one at a time",
            "Give one --explanation.",
        )  # fmt: skip


@instrument(
    "shortfall",
    precise="A refit of later weights",
    before=_asked,
    texts=Texts(documents=96, fit_documents=256),
    unpriced=Unpriced(
        "a refit has been trained on documents of this text's kind, which no model of a family was, "
        "so that none of them is its equal"
    ),
)
def shortfall(
    run: Run,
    sites: Annotated[
        str, Option("Components, all explained together; some layer must come after them.")
    ] = "L0.H*",
    *,
    claim: Annotated[
        Sequence[StandIn] | None,
        Claims("A library name, my.py or my.py:name.", option="--explanation", early=True),
    ] = None,
    steps: Annotated[int, Option("Of a refit.", least=8)] = 200,
    refits: Annotated[
        int, Option("How often everything is refitted, each time by another seed.", least=FEWEST)
    ] = 3,
    rate: Annotated[float, Option("Greatest of AdamW's; 0: 1e-2.", least=0)] = 0.0,
) -> Iterator[Block | Headline]:
    """Bound how much of what a claim loses is wrong, and how much only clumsily put in.

    The claim stands in the components' place. Then what it leaves out is put back as noise, an affine
    map is fitted on top, and later weights are refitted to it (all of a small model's, changes of
    low rank to the matrices of a large one), each beside the same over nothing.
    What a refit cannot make up is wrong; what it makes up beyond what it learns over nothing was clumsy.
    Intermediates that an explanation declares (`intermediates=`) are each held against the model's own
    sites, also where what they read is changed: so what is wrong inside and made good at its end is caught.

    Args:
        run: The model, and a running text. All fitting is on the fit part, of which every fifth
            document says when a refit stops; the eval part is only measured.
        sites: The components.
        claim: What is claimed of them; strict induction if not given.
        steps: Of AdamW on batches of 1,024 tokens.
        refits: With so many seeds, of the batches' order.
        rate: Greatest learning rate; 0: 1e-2.

    Raises:
        MeasurementError: No layer comes after the components; the model is in half precision; there
            are too few tokens for a covariance; there are several claims; a loss is not finite.
        TextError: The fit part is too small.
        UnexplainedError: As for every claim that cannot stand there.
    """
    from unexplained.study.shortfalls import REFERENCE, RefitQuestion, measured

    require_count("steps", steps, least=8)
    require_count("refits", refits, least=FEWEST)
    asked = RefitQuestion.of(run, sites, claim, steps=steps, rate=rate, refits=refits)
    found, name = measured(asked), asked.claim.name
    yield Headline(
        f"What {name} falls short of in {run.subject.name}",
        splits.verdict(found, name, asked.where),
        {"Sites": ", ".join(map(str, asked.sites))},
    )
    yield splits.answer(found, claimed(name, asked.claim.says), asked.how.says)
    yield facts(
        "facts",
        fact("model", "Model", run.subject.name),
        fact("sites", "Components", asked.where),
        fact("claim", "Claim", name, asked.claim.says),
        *of_text(run.text),
        fact("nothing", "Nothing is said", f"{REFERENCE} ablation"),
        fact("refitted", "Refitted", f"layers {asked.first} to {run.subject.shape.layers - 1}"),
        fact("seeds", "Refits of everything", refits),
        fact("strength", "Of a damage to the later weights a refit undoes", found.undoes,
             "one seed, on the documents that it stops by; done along the directions that changes of low rank begin with, which is the easy case"),
    )  # fmt: skip
    yield splits.bounds(found)
    yield splits.mended(found.mended)
    yield splits.refitted(found, asked.how.says)
    if found.followed:
        yield steps_of(found.followed)
    yield from (Prose(words=note, manner="aside") for note in run.text.notes)
