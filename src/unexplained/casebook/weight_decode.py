"""Induction decoded from weights: one of the terms, or what the head does? (MISSION 26)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import unexplained as ux
from unexplained.record.blocks import Block
from unexplained.study import CaseCard, Headline, Texts, answer_of, case, no_candidates, part

if TYPE_CHECKING:
    from unexplained.study import Run

LEAST = 0.5
"""Mean attention on the position before: below it no head is called a previous-token head."""

CARD = CaseCard(
    claim="The weights of a model of attention alone can be multiplied out into paths, and in some heads "
    "one of the terms does strict induction.",
    source="Elhage et al. 2021, A Mathematical Framework for Transformer Circuits",
    candidates="All heads of later layers, with the earlier head that on the text (if no other is given, "
    f"repeated random tokens) attends most to the position before; at least {LEAST:.0%} of its attention.",
    measured="All paths, which add up to the logits; how much of each head's worth is left where only its "
    "induction term is kept, or all but it; and how its weights meet the previous-token head's, beside "
    "random matrices of the same spectrum.",
    published="No share. “This did not show that this was all the head was doing, just that one of the "
    "terms when you multiplied out the matrices was an induction-y term” (Neel Nanda).",
    refuted="A small share for the term alone, or a large one for all but it; weights that meet no more than "
    "random ones do.",
    twin="Random matrices with the same singular values, for the weights. Of a model with random weights the "
    "heads are worth nothing, so shares of it are refused: none is shown.",
)


@case("weight-decode", CARD, texts=Texts("repeats", documents=32, fit_documents=32, block=96))
def weight_decode(run: Run) -> Iterator[Block | Headline]:
    """Induction decoded from weights: how much of what a head does its induction term carries.

    Args:
        run: The model, of attention alone, and a text.

    Raises:
        MeasurementError: No earlier head looks mostly at the position before.
        UnexplainedError: As `paths`.
    """
    scores = ux.head_scores(run.subject, run.text, **run.how("scoring every head"))
    last = run.subject.shape.layers - 1
    earlier = [score for score in scores if run.subject.sites(score.site)[0].layer < last]
    best = max(earlier, key=lambda score: score.previous_token, default=None)
    if not run.imagined and best is not None and best.previous_token < LEAST:
        raise no_candidates(
            "weight-decode", run.subject.name, f"an earlier head with {LEAST:.0%} of its attention on the "
            "position before", f"{best.site} with {best.previous_token:.1%}",
            "Take another model of attention alone, such as attention-2: of one with MLPs no paths are told.",
        )  # fmt: skip
    found = ux.paths.within(run)
    yield Headline(f"Induction in the weights of {run.subject.name}", found.verdict, found.sheet)
    yield answer_of("paths", found)
    yield part("paths", "As paths", found)
