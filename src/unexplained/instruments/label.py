"""`label`: does a neuron, or a direction, do what its label says, or is it only active there? MISSION 28–31, 79.

Neel Nanda: "it only activates on French text … we only studied it on EuroParl rather than the Pile … there
are in fact several French neurons, some of which matter far more than others". Buck Shlegeris: it may be
"a neuron which does something inexplicable, but only in cases where the text is in French". Ryan
Greenblatt: guess its value by the label and subtract it, and "that residual would contain a lot of
signal". The French neuron is Gurnee and others' (2023).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from unexplained.record.blocks import Block, Prose
from unexplained.study import Claims, Headline, Option, Texts, instrument
from unexplained.study.given import Unpriced

if TYPE_CHECKING:
    from unexplained.explanations import Explanation
    from unexplained.study import Run


def _asked(given: Mapping[str, Any]) -> None:
    """Refuse what is no directions."""
    from unexplained.explanations.find_directions import require_directions

    if given["direction"]:
        require_directions(given["direction"])


@instrument(
    "label",
    precise="A label of neurons or directions",
    before=_asked,
    texts=Texts(documents=96, fit_documents=64, many=True),
    unpriced=Unpriced(
        "it asks which tokens neurons are active on, and how much of what they are worth a label carries: "
        "both are shares, and no loss of the whole",
    ),
)
def label(
    run: Run,
    sites: Annotated[
        str,
        Option(
            'Neurons, e.g. "L23.N424 L2.N5"; those that go with the label most if not given. '
            "With a direction: the values that it is of (L1.mlp, L1.resid_post, L1.H0, L1.H0.q)."
        ),
    ] = "",
    *,
    label: Annotated[
        Sequence[Explanation] | None,
        Claims(
            "my.py or my.py:name, which gives a neuron's or direction's value from tokens.",
            option="--label",
        ),
    ] = None,
    direction: Annotated[
        str,
        Option(
            "Of what is labelled, at right angles: a .npy or .safetensors file (FILE:NAME), my.py:function, "
            'tokens:[" the", 290], head:L0.H4:8, random:1, or how many of most variance (2).'
        ),
    ] = "",
    near: Annotated[
        Sequence[Explanation] | None,
        Claims("Another label, whose yes are near misses; may be given again.", option="--near"),
    ] = None,
    top: Annotated[int, Option("How many neurons, where none are named.", least=1)] = 4,
    alike: Annotated[
        int, Option("How many others under the same label are looked for.", least=0)
    ] = 4,
    prevalence: Annotated[
        float, Option("Share of tokens that precision is stated for.", between=(0, 1))
    ] = 0.01,
) -> Iterator[Block | Headline]:
    """Does a neuron or a direction do what its label says? How well it tells it, what the label carries, who else does.

    On a narrow text, the first, and on broad ones. Precision at a stated prevalence, recall and AUROC; the
    label's prediction put in the neurons' place, and only what it leaves; other neurons under the same
    label, each alone and all together; what sets them off where the label says no; beside each the best of
    a model with random weights. Of a direction of any value what is active is the value along it, and
    that alone is put elsewhere; beside it random directions of the same value.

    Args:
        run: The model, and texts: a narrow one, on whose fit part everything is fitted, then broad ones.
        sites: The neurons, at most eight; or the values of which directions are labelled.
        label: When they are active: an explanation that gives `value` from tokens.
        direction: Which directions of those values, eight at most: written as in `subspace`.
        near: Labels of near misses.
        top: How many neurons are taken where none are named.
        alike: How many others that go with the label are measured beside them.
        prevalence: Share of tokens that are the label's, which precision is stated for.

    Raises:
        ExplanationError: There is no label, it is constant, says yes to no token, gives another shape,
            raised, or looked ahead; there are no such directions, or two are at no right angle.
        SiteError: A component is no neuron of this model.
        MeasurementError: The model is in half precision, a number is out of bounds, or a value has no
            directions.
        TextError: A text has a document of another.
    """
    from unexplained.bars import label_words
    from unexplained.study.labels import LabelQuestion, measured

    asked = LabelQuestion.of(
        run, sites, label, near, top=top, alike=alike, prevalence=prevalence, direction=direction
    )
    found = measured(asked)
    yield Headline(
        f"'{found.label}' as a label of {', '.join(found.sites)} in {run.subject.name}",
        label_words.verdict(found),
        {"Sites": ", ".join(found.sites), "Others": ", ".join(found.others)},
    )
    yield found.answer()
    yield found.facts(run.subject.name)
    yield found.scored()
    yield found.effects()
    if (others := found.alike()) is not None:
        yield others
    yield found.misses()
    yield from (Prose(words=note, manner="aside") for text in run.texts for note in text.notes)
