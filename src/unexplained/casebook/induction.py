"""Induction heads: how much of what they are worth is accounted for by "they do induction" (MISSION 24)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import unexplained as ux
from unexplained.record import Record
from unexplained.record.blocks import Block, Prose
from unexplained.study import (
    CaseCard,
    Headline,
    Option,
    Texts,
    answer_of,
    case,
    no_candidates,
    part,
)

if TYPE_CHECKING:
    from unexplained.study import Run

LEAST = 0.3
"""Mean attention on the token after the earlier one: below it no head is called an induction head."""

NESTED = ("no explanation", "strict induction, gated", "strict induction, affine")
"""Strict induction's hypotheses, each of which contains the one before."""

CARD = CaseCard(
    claim="Some heads do induction: they look where the token at hand stood before, and raise the "
    "token that followed it there.",
    source="Elhage et al. 2021, A Mathematical Framework for Transformer Circuits; Olsson et al. 2022, "
    "In-context Learning and Induction Heads",
    candidates="The heads that on repeated random tokens attend most to the token after the earlier "
    f"occurrence of the present one; at least {LEAST:.0%} of their attention.",
    measured="Strict induction and its variants in the heads' place, on repeated random tokens and on "
    "text: which share of what mean ablation costs comes back.",
    published="No share was published with the claim. In the debate Buck Shlegeris put it below 1% by his "
    "own measure of what goes on, and at 10 to 20% of the loss against mean ablation (Ryan Greenblatt: about "
    "right, by causal scrubbing); to Neel Nanda 1% seemed far too low.",
    refuted="A share on text that is told to be small: then the heads do something else there too.",
    twin="Heads' scores and shares of a model with random weights stand beside it.",
)


@case("induction", CARD, texts=Texts(many=True))
def induction(
    run: Run, *, top: Annotated[int, Option("How many of the strongest heads.", least=1)] = 5
) -> Iterator[Block | Headline]:
    """Induction heads: what strict induction and its variants account for, on repeats and on text.

    Args:
        run: The model and its texts; repeated random tokens are added where they are not among them.
        top: How many heads are explained together.

    Raises:
        MeasurementError: No head of the model is an induction head.
        UnexplainedError: As `assay`.
    """
    repeats = next((text for text in run.texts if text.name == "repeats"), None)
    if repeats is None:
        seed = run.settings.seed
        repeats = ux.text("repeats", run.subject, documents=16, fit_documents=32, seed=seed)
        run = run.on(repeats, *run.texts)
    twin = run.subject.twin(run.settings.seed)
    heads = ux.head_scores(run.subject, repeats, twin=twin, **run.how("scoring every head"))
    if not run.imagined and heads[0].induction < LEAST:
        raise no_candidates(
            "induction", run.subject.name, f"a head with {LEAST:.0%} of its attention there",
            f"{heads[0].site} with {heads[0].induction:.1%}",
        )  # fmt: skip
    enough = [head for head in heads if run.imagined or head.induction >= LEAST][:top]
    found = ux.assay.within(run, sites=ux.strongest(enough, len(enough)), heads=heads, top=top)
    yield Headline(f"Induction heads of {run.subject.name}", found.verdict, found.sheet)
    yield answer_of("assay", found)
    for number, text in enumerate(run.texts, start=1):
        yield Prose(words=nested(found, f"text-{number}", text.name))
    yield part("assay", "In the heads' place", found)


def nested(found: Record, section: str, text: str) -> str:
    """Whether hypotheses that each contain the one before, once fitted, recover no less (MISSION 24).

    By their difference on the same documents: intervals of two shares may overlap though one is less everywhere.
    """
    more = {name: found[f"{section}/nested/steps/{name}/more"] for name in NESTED[1:]}
    fell = [name for name, one in more.items() if one.below_zero]
    if fell:
        ends = f"told to recover less than the one before: {', '.join(fell)}"
    elif any(one.value is None or one.low is None for one in more.values()):
        ends = "whether one recovers less than the one before cannot be told"
    else:
        ends = "none is told to recover less than the one before"
    return (
        f"Nested hypotheses on {text}, each fitted on other documents and containing the one before (a gate of "
        f"nothing, a map that is a multiple): {'; '.join(NESTED)}: {ends}."
    )
