"""Counterexamples to "it does induction" at a model's strongest induction head (MISSION 34)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import unexplained as ux
from unexplained.record.blocks import Block
from unexplained.study import CaseCard, Headline, Texts, answer_of, case, no_candidates, part

if TYPE_CHECKING:
    from unexplained.study import Run

LEAST = 0.3
"""Mean attention on the token after the earlier one: below it no head is called an induction head."""

CARD = CaseCard(
    claim="An induction head matters by induction, or by near variants of it: a long prefix, a word that "
    "is cut into tokens otherwise.",
    source="Neel Nanda in How useful is mechanistic interpretability? (LessWrong 2023), who names the "
    "variants and, of copy suppression, the procedure (McDougall et al. 2023)",
    candidates="The head that on repeated random tokens attends most to the token after the earlier "
    f"occurrence of the present one; at least {LEAST:.0%} of its attention.",
    measured="Of the 5% of predictions that the head helps most those at which strict induction in its place "
    "keeps half of the help; a random sample of the others, read in context.",
    published="None of induction; of copy suppression in GPT-2 small no dataset example was found where "
    "the head mattered by something else (from memory, no count).",
    refuted="What is left is more than what a rule says by chance, and its samples are no variants of "
    "induction.",
    twin="The same in a model with random weights stands beside it, and the rule on other documents.",
)


@case("induction-counterexamples", CARD, texts=Texts(fewest=10))
def induction_counterexamples(run: Run) -> Iterator[Block | Headline]:
    """Counterexamples: what the strongest induction head helps and strict induction does not keep.

    Args:
        run: The model and its text; the head is found on repeated random tokens.

    Raises:
        MeasurementError: No head of the model is an induction head.
        UnexplainedError: As `hunt`.
    """
    repeats = ux.text(
        "repeats", run.subject, documents=16, fit_documents=32, seed=run.settings.seed
    )
    first, *_ = ux.head_scores(run.subject, repeats, **run.how("scoring every head"))
    if not run.imagined and first.induction < LEAST:
        raise no_candidates(
            "induction-counterexamples", run.subject.name,
            f"a head with {LEAST:.0%} of its attention there", f"{first.site} with {first.induction:.1%}",
        )  # fmt: skip
    found = ux.hunt.within(run, sites=first.site)
    yield Headline(
        f"Counterexamples at {first.site} of {run.subject.name}", found.verdict, found.sheet
    )
    yield answer_of("hunt", found)
    yield part("hunt", "Predictions that are left", found)
