"""`subspace`: of a head's query, or any value, does only the projection on some directions matter (MISSION 22, 23)?

Neel Nanda, of a copy suppression head: "replacing the query with 'the projection onto the subspace we
thought was all that mattered' harmed performance significantly (down to 30-40%)".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from unexplained.bars import scales
from unexplained.errors import require_count
from unexplained.record import format as fmt
from unexplained.record.blocks import Block, Prose, fact, facts
from unexplained.study import Headline, Option, Texts, instrument
from unexplained.study.given import BESIDE
from unexplained.study.sheet import of_text

if TYPE_CHECKING:
    from unexplained.ladder.family import Family
    from unexplained.study import Run

FEWEST = 5


def _asked(given: Mapping[str, Any]) -> None:
    """Refuse what is no directions."""
    from unexplained.explanations.find_directions import require_directions

    require_directions(given["directions"])


@instrument(
    "subspace", precise="A subspace", before=_asked, texts=Texts(documents=48, fit_documents=64)
)
def subspace(
    run: Run,
    sites: Annotated[
        str, Option("Values of heads (L8.H3.q; .k, .v, .z, .out) or components, all of one kind.")
    ],
    *,
    directions: Annotated[
        str,
        Option(
            'How many of most variance (8), tokens:[" the", 290], head:L0.H4:8, random:8, a .npy or '
            ".safetensors file (FILE:NAME), or my.py:function."
        ),
    ] = "2",
    draws: Annotated[int, Option("Random subspaces of as many directions.", least=FEWEST)] = 20,
    family: Annotated[Family | None, BESIDE] = None,
) -> Iterator[Block | Headline]:
    """Does only a value's projection on some directions matter: of a query, a key, or any value?

    The value is kept on the directions and set to its mean on all others; beside it as many random
    directions, those of most variance, and the rest at zero, as noise or from another document. Where
    a direction is hardly read by what reads the value, its read and its unread part are told apart
    (Makelov, Lange and Nanda 2023).

    Args:
        run: The model and running text; means and covariances are of its fit part.
        sites: Whose values.
        directions: Which; those of a query or key before rotary embedding.
        draws: How many random subspaces.
        family: Weaker models that the model is placed among with the value on these directions, and
            at its mean; none if not given.

    Raises:
        SiteError: A site does not exist.
        MeasurementError: It has no subspaces, no direction is kept or all are, or the model is in half
            precision.
        ExplanationError: There are no such directions, they are of another width, or some are sums of
            others.
        TextError: The text is too small.
        AblationError: There are too few tokens for a covariance.
    """
    from unexplained.study.subspaces import SubspaceQuestion, measured

    require_count("draws", draws, least=FEWEST)
    asked = SubspaceQuestion.of(run, sites, directions, draws, family)
    found = measured(asked)
    where = fmt.in_short(list(map(str, asked.sites)))
    yield Headline(
        f"A subspace of {found.word} of {where} in {run.subject.name}",
        found.verdict(where),
        {"Sites": sites, "Directions": directions},
    )
    yield found.answer()
    yield facts(
        "facts",
        fact("model", "Model", run.subject.name),
        fact("sites", "Components", where),
        fact("value", "Value", found.word),
        fact("directions", "Directions", found.on, f"{asked.on.rank} of {found.size}"),
        *of_text(run.text),
        fact("worth", f"{found.word.capitalize()} is worth", found.worth(), "nats per token, against its mean"),
        fact("component", "The components are worth", found.read.damage(found.nothing), "against mean ablation"),
        fact("draws", "Random draws", draws,
             "" if found.as_good is None else f"{found.as_good} recover as much as these directions"),
        *([fact("hidden", "Through what is hardly read", found.hidden, "what these directions recover beyond their part that is read")]
          if found.hidden is not None else []),
    )  # fmt: skip
    yield found.table()
    if found.scale is not None:
        yield scales.compute(found.scale, {found.claim.arm: "fitted", found.base: "ablation"})
    yield from (Prose(words=note, manner="aside") for note in run.text.notes)
