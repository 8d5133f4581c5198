"""Copy suppression: a head that lowers what earlier layers are about to copy (MISSION 33)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import unexplained as ux
from unexplained.errors import UnexplainedError
from unexplained.record.blocks import Block, Prose, Section
from unexplained.study import FAMILY, CaseCard, Headline, Option, Texts, answer_of, case, part

if TYPE_CHECKING:
    from unexplained.study import Family, Run

COMMON = 16
"""Tokens whose unembeddings a query is kept on, at most; at most half as many as the query is wide."""

CARD = CaseCard(
    claim="Some heads do copy suppression: they attend to tokens of the context that are about to be "
    "predicted, and lower just those.",
    source="McDougall, Conmy, Rushing, McGrath and Nanda 2023, Copy Suppression: Comprehensively "
    "Understanding an Attention Head",
    candidates="Every head is scored by the authors' definition; the best are chosen on half of the "
    "documents and scored on the other half.",
    measured="By the definition: of what a head's mean does to the predictions on the direct path, with "
    "the final norm held, the share of KL that the head keeps when it may do copy suppression alone. Then "
    "the same stand-in in the running model, in nats per token and, where a family of weaker models places "
    "the model, in training compute. The best head's query kept on unembeddings, beside random directions.",
    published="GPT-2 small L10H7: 76.9% with OV and QK cut down, 81.1% OV only, 95.2% QK only; an honest "
    "rerun in 2026 gave 70.2%. In the debate Neel Nanda called it the best explained component there is.",
    refuted="No head with a share that is told from that of the same rule with other tokens; or a share in "
    "the running model's loss that is far below the definition's: then the number is of the direct path "
    "and not of what the model does.",
    twin="The same definition in a model with random weights stands beside every head.",
)


@case("copy-suppression", CARD, texts=Texts(documents=48, fit_documents=48, fewest=10))
def copy_suppression(
    run: Run,
    *,
    sites: Annotated[str, Option("Heads.")] = "L*.H*",
    predictions: Annotated[
        int, Option("Of every document, on the direct path; drawn by its hash.", least=1)
    ] = 32,
    family: Annotated[Family | None, FAMILY] = None,
) -> Iterator[Block | Headline]:
    """Copy suppression: how much of a head it explains, by its finders' definition and in the model's loss.

    Args:
        run: The model and running text.
        sites: The heads among which suppressors are looked for.
        predictions: Of every document, as many are measured on the direct path.
        family: Weaker models that losses are placed among; the ladder's if not given.

    A model without a copy suppressor is a finding, and the record says so.

    Raises:
        UnexplainedError: As `suppression`.
    """
    found = ux.suppression.within(run, sites=sites, predictions=predictions, family=family)
    answer = answer_of("suppression", found)
    yield Headline(f"Copy suppression in {run.subject.name}", found.verdict, found.sheet)
    yield answer
    yield part("suppression", "By definition and in the running model", found)
    yield _query(run, answer.rows[0].name)


def _query(run: Run, head: str) -> Section:
    """The best head's query kept on unembeddings alone, on the documents that did not choose it."""
    choosing, scoring = run.text.halves()
    common = Counter(int(token) for block in choosing.eval for token in block.targets)
    many = min(COMMON, run.subject.shape.head_size // 2)
    tokens = [token for token, _ in common.most_common(many)]
    words = (
        f"The query of {head} kept on the unembeddings of the {len(tokens)} tokens that come most often in the documents "
        "that chose it, and at its mean otherwise; beside it as many random directions. By the claim a query asks "
        "for what is about to be predicted; where these directions recover no more than random ones, that is not what "
        "of it matters here."
    )
    try:
        found = ux.subspace.within(
            run.on(scoring), sites=f"{head}.q", directions=f"tokens:{tokens}"
        )
    except UnexplainedError as error:
        return Section(
            key="query",
            title="Its query",
            blocks=(Prose(words=words), Prose(words=f"Refused: {error}")),
        )
    inner = part("query", "Its query", found)
    return inner.model_copy(
        update={"blocks": (Prose(words=words), Prose(words=found.verdict), *inner.blocks)}
    )
