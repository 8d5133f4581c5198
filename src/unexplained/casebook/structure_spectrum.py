"""Structure in the head basis: is a model's work on fewer heads than chance would have it (MISSION 27, 32)?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import unexplained as ux
from unexplained.record.blocks import Block
from unexplained.study import CaseCard, Headline, Option, Texts, answer_of, case, part

if TYPE_CHECKING:
    from unexplained.study import Run

CARD = CaseCard(
    claim="Mechanisms are sparse in the head basis: some heads seem very induction-y, and others not at "
    "all relevant; there is more structure than in a random model.",
    source="Neel Nanda and Ryan Greenblatt in How useful is mechanistic interpretability? (LessWrong 2023)",
    candidates="All heads of the model, or those that are named.",
    measured="The effective number of heads by what mean ablation of each does and by where each looks: "
    "of the heads themselves, of the heads of each layer rotated into each other, and with random weights.",
    published="No number; the claim was made of induction heads in models up to 13 billion parameters.",
    refuted="As many effective heads as rotated, or as with random weights.",
    twin="A model with random weights stands beside it, ablated and scored on the same documents.",
)


@case("structure-spectrum", CARD, texts=Texts(documents=16, fit_documents=32, block=64, fewest=5))
def structure_spectrum(
    run: Run,
    *,
    sites: Annotated[str, Option("Heads, two of a layer or more.")] = "L*.H*",
    rotations: Annotated[int, Option("Of each layer's heads into each other.", least=1)] = 3,
) -> Iterator[Block | Headline]:
    """Structure in the head basis: beside rotated heads and random weights.

    Args:
        run: The model and its text.
        sites: The heads.
        rotations: How many random bases.

    Raises:
        UnexplainedError: As `structure`.
    """
    found = ux.structure.within(run, sites=sites, rotations=rotations)
    yield Headline(f"Structure in the head basis of {run.subject.name}", found.verdict, found.sheet)
    yield answer_of("structure", found)
    yield part("structure", "Concentration", found)
