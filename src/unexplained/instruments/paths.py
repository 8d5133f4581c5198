"""`paths`: a model of attention alone, multiplied out (MISSION 26).

Neel Nanda: "This did not show that this was all the head was doing, just that one of the terms when you
multiplied out the matrices was an induction-y term". Here the terms are multiplied out (Elhage and others
2021), and the share of the head that this one carries is measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from unexplained import study
from unexplained.record.blocks import Block
from unexplained.study import Headline, Texts, instrument
from unexplained.study.given import Unpriced

if TYPE_CHECKING:
    from unexplained.bars.paths import HeadWeights, Paths
    from unexplained.circuits.expansion import Terms
    from unexplained.circuits.kept_paths import PathTerm, StreamPart
    from unexplained.circuits.looking import Looks
    from unexplained.sites import Site
    from unexplained.study import Run

DISTANCES = (1, 8, 32, 64)
"""Positions between query and key at which weights are read."""
AT = 8
"""That of them at which compositions are."""
COLUMNS = (
    ("strict", "the induction term", "Textbook term"),
    ("token", "the term, tokens rewritten", "Tokens rewritten"),
    ("bias", "the same with biases", "And biases"),
    ("scores", "its scores alone", "Scores alone"),
    ("values", "its values alone", "Values alone"),
    ("without", "all scores but the term", "All but it"),
)


@instrument(
    "paths",
    precise="Paths",
    texts=Texts("repeats", documents=32, fit_documents=32, block=96),
    unpriced=Unpriced(
        "it takes heads apart into paths, and what is kept of a head is a share of that head's worth"
    ),
)
def paths(run: Run) -> Iterator[Block | Headline]:
    """A model of attention alone as a sum of paths, and how much of each head its induction term carries.

    Every chain of heads is a term of the logits, given patterns and the norms' scales; the terms add up.
    Of every head of a later layer only some paths are kept, in its scores and its values; and weights
    are held against random ones of the same spectrum. Models with MLPs are refused.

    Args:
        run: The model and running text; what is left out is put at its mean over the fit part.

    Raises:
        CircuitError: The model has MLPs, a single layer, one head in each, or too many paths; or they do
            not add up to its logits.
        MeasurementError: The model is in half precision, or a number is not finite.
    """
    from unexplained.bars.paths import Paths, PathsKept
    from unexplained.circuits.expansion import require_paths, terms
    from unexplained.circuits.kept_paths import StreamPart
    from unexplained.circuits.looking import looks
    from unexplained.sites import Site
    from unexplained.study import arms

    subject, text = run.subject, run.text
    require_paths(subject, least=2)
    study.asked.require_tokens(subject, text, "eval", "fit")
    study.asked.require_folder(run.folder, subject)
    there = looks(subject, text, **run.how("where heads look"))
    later = [Site(layer, "H", head) for layer in range(there.previous.layer + 1, subject.shape.layers)
             for head in range(subject.shape.heads)]  # fmt: skip
    kept, wrong = _terms(there)
    groups = [(site,) for site in later]
    read = run.measure(
        *arms.ablations(run, "mean", groups), *arms.paths(run, kept, wrong, groups),
        what="keeping some paths of every head",
    )  # fmt: skip
    columns = (*COLUMNS, ("wrong", wrong.name, f"Through {there.least}"))
    found = Paths(
        read, tuple(map(str, later)), tuple(PathsKept(*one) for one in columns), str(there.previous),
        there.before[there.previous], there.is_previous, tuple(map(str, there.rewriting)),
        str(there.least), run.settings,
    )  # fmt: skip
    every = terms(subject, text, **run.how("multiplying out"))
    yield Headline(
        f"{subject.name} as paths, on {text.name}",
        found.verdict(len(every.names), every.error),
        run.sheet,
    )
    yield found.answer()
    predictions = sum(map(len, every.right))
    yield found.facts(
        subject.name, text.name, predictions, len(every.names) - 1, every.error, every.logit
    )
    yield found.shares()
    yield _scores(run, found, there, StreamPart)
    yield found.weights(_weights(run, there, later), AT)
    yield _paths(found, every)


def _tokens(there: Looks) -> tuple[tuple[Site, ...], ...]:
    """The token by its embedding, and as heads of the layers up to the previous-token head's rewrite it."""
    from itertools import combinations, pairwise

    own = there.rewriting
    chains = [c for n in range(len(own) + 1) for c in combinations(own, n)]
    return tuple(c for c in chains if all(a.layer < b.layer for a, b in pairwise(c)))


def _terms(there: Looks) -> tuple[list[PathTerm], PathTerm]:
    """The induction term and its variants; and the first one through a head that does not look before."""
    from unexplained.circuits.kept_paths import EVERYTHING, PathTerm, StreamPart

    embedded, tokens = StreamPart(((),)), _tokens(there)

    def before(head: Site, *, through: bool) -> tuple[tuple[Site, ...], ...]:
        """The token before: as embedded, or as rewritten before that head."""
        every = tokens if through else ((),)
        return tuple((*c, head) for c in every if not c or c[-1].layer < head.layer)

    strict, whole = (
        StreamPart(before(there.previous, through=False)),
        StreamPart(before(there.previous, through=True)),
    )
    token = StreamPart(tokens)
    parts = {
        "strict": (embedded, strict, embedded),
        "token": (token, whole, token),
        "bias": (StreamPart(tokens, True), StreamPart(whole.chains, True), token),
        "scores": (token, whole, EVERYTHING),
        "values": (EVERYTHING, EVERYTHING, token),
        "without": (token, whole, EVERYTHING),
    }
    said = {
        "strict": "Queries and values of the embedding, keys of what the previous-token head wrote of it.",
        "token": "The same, the token also as heads that look at their own position rewrite it.",
        "bias": "The same, with biases in queries and keys.",
        "scores": "Queries and keys of it; values whole.",
        "values": "Values of it; queries and keys whole.",
        "without": "All of the scores but the product of its query and key; values whole.",
    }
    made = [
        PathTerm(name, said[key], *parts[key], without=key == "without") for key, name, _ in COLUMNS
    ]
    other = StreamPart(before(there.least, through=True))
    says = f"As with tokens rewritten, but keys of what {there.least} wrote."
    return made, PathTerm("through another head", says, token, other, token)


def _scores(run: Run, found: Paths, there: Looks, part: type[StreamPart]) -> Block:
    """What the head that matters most looks for, term by term."""
    from unexplained.circuits.expansion import chains
    from unexplained.circuits.score_terms import preferences
    from unexplained.sites import parse

    shape = run.subject.shape
    site = parse(found.ranked[0], shape)[0]
    tokens = _tokens(there)
    before = tuple(
        (*c, there.previous) for c in tokens if not c or c[-1].layer < there.previous.layer
    )
    every = [c for c in chains(shape.layers, shape.heads) if not c or c[-1].layer < site.layer]
    rewritten = tuple(c for c in tokens if c)
    named: dict[str, StreamPart] = {"token": part(((),))}
    if rewritten:
        named["rewritten token"] = part(rewritten)
    named[str(there.previous)] = part(before)
    if rest := tuple(c for c in every if c not in tokens and c not in before):
        named["other heads"] = part(rest)
    named["biases"] = part((), True)
    split = preferences(run.subject, run.text, [site], named, named, **run.how("splitting scores"))
    return found.scores(str(site), split.sums[:, 0], split.positions, list(named), list(named))


def _weights(run: Run, there: Looks, later: Sequence[Site]) -> dict[str, HeadWeights]:
    """Compositions of every later head with every earlier one, and what its circuits do to tokens."""
    import torch

    from unexplained.bars.paths import HeadWeights
    from unexplained.circuits import composition as weights

    subject, shape, anatomy = run.subject, run.subject.shape, run.subject.anatomy
    distances = [d for d in DISTANCES if d == AT or shape.positions is None or d < shape.positions]
    by_layer = {layer: weights.matrices(subject, layer, distances) for layer in range(shape.layers)}
    ids = weights.some_tokens(subject, run.settings.seed)
    weight: Any = anatomy.model.get_input_embeddings()  # type: ignore[operator]
    embedded = weight(ids).detach()
    norm = anatomy.attention_norm(0) if anatomy.architecture.attention_norm else None
    scale = anatomy.norm_scale(norm, embedded) if norm is not None else 1.0
    first = [site for site in there.rewriting if site.layer == 0]
    written = {
        site: (embedded * scale) @ by_layer[site.layer].output[site.index]
        for site in (there.previous, *first)
    }
    token = embedded + sum((written[site] for site in first), torch.zeros_like(embedded))
    rows: Any = anatomy.unembed.weight
    unembedded = rows.detach()[ids] * anatomy.norm_frame(anatomy.final_norm, embedded)[2]
    turned = weights.rotations(shape.width, shape.head_size, run.settings.seed)
    found = {}
    for site in later:
        mine = by_layer[site.layer]
        keys = mine.key[site.index]
        scores = mine.query[site.index] @ keys[distances.index(AT)].T
        reads = {"K": scores.T, "Q": scores, "V": mine.output[site.index]}
        composed = {}
        for layer in range(site.layer):
            for head in range(shape.heads):
                for which, one in reads.items():
                    made = weights.composition(one, by_layer[layer].output[head], turned)
                    composed[f"L{layer}.H{head} {which}"] = (
                        made.times,
                        made.high / made.random if made.random else 0.0,
                    )
        token_query, embedded_query = (one @ mine.query[site.index] for one in (token, embedded))
        before = [written[there.previous] @ key for key in keys]
        matches = {
            distance: weights.most_for_itself(token_query, key)
            for distance, key in zip(distances, before, strict=True)
        }
        strict = weights.most_for_itself(embedded_query, before[distances.index(AT)])
        copies = tuple(
            weights.most_for_itself(one @ mine.output[site.index], unembedded)
            for one in (token, embedded)
        )
        found[str(site)] = HeadWeights(composed, matches, strict, copies)  # type: ignore[arg-type]
    return found


def _paths(found: Paths, every: Terms) -> Block:
    """All terms, summed by document."""
    import numpy as np

    tokens = np.array([float(len(rows)) for rows in every.right])
    right, without = (np.stack([rows.sum(0) for rows in of]) for of in (every.right, every.without))
    return found.terms(every.names, right, without, tokens)
