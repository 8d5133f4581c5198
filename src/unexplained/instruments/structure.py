"""`structure`: on how few heads a model's work rests, beside rotated heads and random weights (MISSION 27, 32).

Neel Nanda: "the induction mechanism is surprisingly sparse in the head basis, in that there are heads
that seem very induction-y, and heads that don't seem at all relevant"; Ryan Greenblatt: "more structure
than a random model would have. I just worry that we need much higher standards here."
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from unexplained import study
from unexplained.bars import spectra
from unexplained.errors import SiteError, require_count
from unexplained.record.blocks import Block, Prose, fact, facts
from unexplained.study import Headline, Option, Texts, instrument
from unexplained.study.given import Unpriced
from unexplained.study.sheet import of_text

if TYPE_CHECKING:
    from unexplained.bars.spectra import Spectrum
    from unexplained.bars.spectrum import Basis, HeadScores
    from unexplained.sites import Site
    from unexplained.study import Run

REFERENCE = "mean"
MEASURED = {"divergence": ("Divergence", "kl"), "damage": ("Damage", "loss")}
"""Scores of an ablation: in words, and the ledger's column."""
LOOKED = {"induction": "Induction score", "previous_token": "Previous-token score"}
"""Scores of where heads look."""


@instrument(
    "structure",
    precise="The effect of a single head",
    texts=Texts(documents=16, fit_documents=32, block=64, fewest=5),
    unpriced=Unpriced("it counts on how many heads a model's work rests, which is no loss"),
)
def structure(
    run: Run,
    sites: Annotated[str, Option("Heads, two of a layer or more.")] = "L*.H*",
    *,
    rotations: Annotated[int, Option("Of each layer's heads into each other.", least=0)] = 3,
    twin: Annotated[bool, Option("Measure a model with random weights beside it.")] = True,
) -> Iterator[Block | Headline]:
    """On how few heads does the model's work rest, and is that more than a random model would show?

    The effective number of heads by what mean ablation of each does and by where each looks, beside the
    same of heads rotated into each other, in which the model is the same function, and beside a model
    with random weights.

    Args:
        run: The model, and a running text. Means are fitted on its fit part.
        sites: The heads.
        rotations: How many random bases.
        twin: Whether the same is done in a model with random weights, on the same documents.

    Raises:
        SiteError: A head does not exist, a site is no head, or all heads are of different layers.
        MeasurementError: A number is out of bounds, the model is in half precision, or a loss is not
            finite.
        TextError: The text has too few documents, or is of another model's tokens.
    """
    require_count("rotations", rotations, least=0)
    heads = study.asked.components(run.subject, sites, heads=True)
    if len(heads) < 2 or (rotations and max(Counter(head.layer for head in heads).values()) < 2):
        raise SiteError(
            f"The structure of {sites}", "no two of these heads are of one layer, to be rotated",
            'Give whole layers, such as "L*.H*" or "L3.H*".',
        )  # fmt: skip
    study.asked.require_fill(REFERENCE, heads, run.text)
    study.asked.require_tokens(run.subject, run.text, "eval", "fit")
    study.asked.require_folder(run.folder, run.subject)
    found = _spectra(run, _measured(run, heads, rotations, twin=twin))
    yield Headline(
        f"Structure among {len(heads)} heads of {run.subject.name}",
        spectra.verdict(found, len(heads)),
        {"Reference ablation": REFERENCE},
    )
    yield spectra.answer(found)
    yield facts(
        "facts",
        fact("model", "Model", run.subject.name),
        fact("heads", "Heads", len(heads)),
        fact("rotations", "Rotations", rotations),
        *of_text(run.text),
        fact("ablation", "Ablation", REFERENCE),
    )
    yield spectra.numbers(found, rotations)
    yield from (Prose(words=note, manner="aside") for note in run.text.notes)


def _measured(
    run: Run, heads: tuple[Site, ...], rotations: int, *, twin: bool
) -> dict[str, dict[str, Basis]]:
    """Score → basis → scores of every head, by document."""
    from unexplained.study import arms
    from unexplained.study.arms.rotated import name_of, rotated
    from unexplained.study.heads import by_document, repeats
    from unexplained.study.twins import TWIN

    plain = [str(head) for head in heads]
    turned = [[name_of(head, draw) for head in heads] for draw in range(rotations)]
    read = run.measure(
        *arms.ablations(run, REFERENCE, [(head,) for head in heads]),
        *(one for draw in range(rotations) for one in rotated(run, heads, draw)),
        what="ablating every head, and rotated ones",
    )  # fmt: skip
    found: dict[str, dict[str, Basis]] = {}
    for key, (_, column) in MEASURED.items():
        found[key] = {spectra.OWN: [_scores(read, plain, heads, column)]}
        if rotations:
            found[key][spectra.ROTATED] = [_scores(read, some, heads, column) for some in turned]
    text = repeats(run)
    for rule, sums in by_document(run.on(text), heads, LOOKED).items():
        found[rule] = {spectra.OWN: [_looks(sums, heads)]}
    if twin:
        with run.timed(TWIN):
            there = run.of(run.subject.twin(run.settings.seed))
            other = there.measure(
                *arms.ablations(there, REFERENCE, [(head,) for head in heads]),
                what="ablating every head",
            )
            for key, (_, column) in MEASURED.items():
                found[key][spectra.TWIN] = [_scores(other, plain, heads, column)]
            for rule, sums in by_document(there.on(text), heads, LOOKED).items():
                found[rule][spectra.TWIN] = [_looks(sums, heads)]
    return found


def _scores(read: Any, names: list[str], heads: tuple[Site, ...], column: str) -> HeadScores:
    """What ablating each does, by document."""
    import numpy as np

    from unexplained.bars.spectrum import HeadScores
    from unexplained.ledger import NATS

    intact = read.ledger.sums("intact")
    sums = np.stack([getattr(read.ledger.sums(name), column) for name in names])
    sums = sums if column == "kl" else sums - getattr(intact, column)
    layers = np.array([head.layer for head in heads])
    return HeadScores(sums, intact.tokens, layers, NATS)


def _looks(sums: Any, heads: tuple[Site, ...]) -> HeadScores:
    """Shares of attention, every document counting the same."""
    import numpy as np

    from unexplained.bars.spectrum import HeadScores
    from unexplained.stats import SHARE

    layers = np.array([head.layer for head in heads])
    return HeadScores(sums, np.ones(sums.shape[1]), layers, f"{SHARE} of attention")


def _spectra(run: Run, measured: Mapping[str, Mapping[str, Basis]]) -> list[Spectrum]:
    from unexplained.bars.spectrum import effective, ratio

    found = []
    for key, bases in measured.items():
        own = bases[spectra.OWN]
        for basis, scores in bases.items():
            other = basis != spectra.OWN
            settings = run.settings
            found.append(spectra.Spectrum(
                key, LOOKED.get(key) or MEASURED[key][0], basis,
                effective(scores, settings),
                ratio(scores, own, settings) if other else None,
                effective(scores, settings, in_layers=True),
                ratio(scores, own, settings, in_layers=True) if other else None,
            ))  # fmt: skip
    return found
