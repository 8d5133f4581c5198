"""Where a head looks on one document, and where the claim says that it looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unexplained.record import blocks as b

if TYPE_CHECKING:
    from torch import Tensor

    from unexplained.explanations.stand_in import StandIn
    from unexplained.sites import Site
    from unexplained.study import Run
    from unexplained.text import Block

TOKENS = 28
"""Of a longer document its beginning: attention goes back, so what comes later changes nothing."""


def attention_beside(at: Run, claim: StandIn, site: Site) -> b.Attention | None:
    """The head's pattern and the claim's, on the document that is nearest in length to what is shown.

    None where the claim says no pattern, or the text is of prompts in pairs.

    Raises:
        UnexplainedError: As `observe`, or the claim raised.
    """
    from unexplained.explanations import Explanation
    from unexplained.explanations.fit import stands_at

    if not isinstance(claim, Explanation) or claim.gives != "pattern" or site.part != "H":
        return None
    if at.text.pairs:
        return None
    subject, block = at.subject, min(at.text.eval, key=_away)
    sites = [site.at("pattern"), *claim.observes([site], subject.shape)]
    there = at.on(at.text.only({block.unit})).observe(sites, part="eval")
    ((_, values),) = there.batches
    (local,) = there.at(stands_at(claim, site))
    said, many = claim(local, subject.shape)[0], min(len(block.tokens), TOKENS)
    return b.Attention(
        key="attention",
        title=f"Where {site} looks, and where the claim says",
        caption=f"The document's first {many} tokens. What the claim does not place is left blank."
        if many < len(block.tokens)
        else "What the claim does not place is left blank.",
        document=block.document,
        domain=block.domain,
        tokens=tuple(subject.tokenizer.decode([t]) for t in block.tokens[:many].tolist()),
        panels=(
            b.Weights(
                name=str(site), role="intact", rows=_rows(values[site.at("pattern")][0], many)
            ),
            b.Weights(name=claim.name, role="explanation", rows=_rows(said, many)),
        ),
    )


def _away(block: Block) -> tuple[bool, int]:
    """Shorter ones last: a document of a few tokens shows nothing."""
    return len(block.tokens) < TOKENS, abs(len(block.tokens) - TOKENS)


def _rows(pattern: Tensor, many: int) -> tuple[tuple[float, ...], ...]:
    """Of each token its weights on those up to itself, to a thousandth."""
    return tuple(
        tuple(round(w, 3) for w in row[: i + 1]) for i, row in enumerate(pattern[:many].tolist())
    )
