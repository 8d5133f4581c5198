"""Self-repair: the rest of the model makes up for an ablated head, and the final norm for a part of it (MISSION 19)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import unexplained as ux
from unexplained.record.blocks import Block
from unexplained.study import CaseCard, Headline, Option, Texts, answer_of, case, few, part

if TYPE_CHECKING:
    from unexplained.study import Run

CARD = CaseCard(
    claim="Where a head is ablated, what comes after it undoes a part of its direct effect; the final "
    "norm's scale alone does about 30% of that.",
    source="McGrath et al. 2023, The Hydra Effect; Rushing and Nanda 2024, Explorations of Self-Repair "
    "in Language Models",
    candidates="Every head of the model; heads of the last third of the layers stand for the claim, where "
    "the direct effect is nearly all that there is.",
    measured="The change of the right token's logit when each head is ablated: direct, what later blocks "
    "write against it and with it, what the final norm's other scale does, and the total; where the "
    "head's direct effect is largest and everywhere.",
    published="About 30% of the repair is the norm's scale (Rushing and Nanda, Pythia models and others, "
    "1M tokens of the Pile); about 70% of a layer's effect restored in Chinchilla 7B (McGrath et al.).",
    refuted="Opposing parts no larger than agreeing ones: then later blocks scatter and do not repair. A "
    "norm's share whose interval leaves 30% out.",
    twin="The same of a model with random weights, on a few documents: its later blocks know nothing "
    "that they could repair.",
)


@case("self-repair", CARD, texts=Texts(documents=16, fit_documents=32, fewest=5))
def self_repair(
    run: Run, *, sites: Annotated[str, Option("Heads.")] = "L*.H*"
) -> Iterator[Block | Headline]:
    """Self-repair: how much of an ablated head's direct effect is undone, and by what.

    Args:
        run: The model and running text; resample ablation takes its donors from the fit part.
        sites: The heads.

    Raises:
        UnexplainedError: As `repair`.
    """
    found = ux.repair.within(run, sites=sites)
    twin = ux.repair.within(
        run.of(run.subject.twin(run.settings.seed)).on(few(run.text)), sites=sites
    )
    first, other = answer_of("model", found), answer_of("twin", twin)
    beside = (row.model_copy(update={"name": f"{row.name}, random weights", "role": "twin"})
              for row in other.beside)  # fmt: skip
    yield Headline(f"Self-repair in {run.subject.name}", found.verdict, found.sheet)
    yield first.model_copy(update={"beside": (*first.beside, *beside)})
    yield part("model", "The model", found)
    yield part("twin", "Random weights", twin)
