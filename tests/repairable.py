"""Models and claims whose shortfall is known: what of it is clumsy, and what is wrong.

The model predicts the token before the current one: L0.H0 writes it where L1.H0 reads, and L1.H0 moves
it to where the unembedding reads. The claims are about L0.H0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from unexplained.explanations import Explanation, View, explanation
from unexplained.sites import Site
from unexplained.subject import Subject, load
from unexplained.testbeds.texts import text_of
from unexplained.testbeds.vocabulary import BOS, WORDS, IntArray, make_tokenizer
from unexplained.testbeds.weights import (
    BALLAST_AT,
    DISTANT_SINK,
    NEVER,
    START,
    WIDTH,
    Head,
    assemble,
    at_distance,
    move,
    scaled,
    sink,
)
from unexplained.text import Text

AT = Site(0, "H", 0)
BEFORE = at_distance(1) + sink(DISTANT_SINK)
"""Attends to the position before."""
HERE = at_distance(0, see_bos=True)
FRESH = 0.1
"""Share of tokens that nothing tells of."""
MUCH = 3.0
"""Of what is claimed besides, where nobody reads."""
FOREIGN = 2.0
"""What A writes besides, and B takes away again."""

WRITER = BEFORE + move("token", "previous")
READER = HERE + move("previous", "copied")


def _heads(**more: Head) -> dict[Site, Head]:
    heads = {AT: WRITER, Site(1, "H", 0): READER}
    return heads | {Site(int(at[1]), "H", int(at[3])): head for at, head in more.items()}


MODELS: Mapping[str, Callable[[], dict[Site, Head]]] = {
    "plain": _heads,
    # B takes away what A writes besides: neither does anything alone that the other does not undo.
    "partner": lambda: _heads(
        L0H0=WRITER + _also("copied", FOREIGN),
        L1H1=BEFORE + scaled(move("token", "copied"), -FOREIGN),
    ),
    # A head that could do the job of both, and is nearly asleep.
    "backup": lambda: _heads(L1H1=BEFORE + scaled(move("token", "copied"), 0.3)),
}


def _also(block: str, times: float) -> Head:
    """What the same head moves, to another block as well."""
    from unexplained.testbeds.weights import move_too

    return move_too(block, times)  # type: ignore[arg-type]


def model(name: str) -> Subject:
    """A planted model, its ballast as large as a token: what is trained must not be ill-conditioned."""
    made = assemble(MODELS[name]())
    with torch.no_grad():
        made.model.embed_tokens.weight[:, BALLAST_AT] = 1.0
        made.lm_head.weight[BOS, BALLAST_AT] = NEVER
        norms = [norm for layer in made.model.layers
                 for norm in (layer.input_layernorm, layer.post_attention_layernorm)]  # fmt: skip
        for norm, ones in zip([*norms, made.model.norm], (2, 3, 3, 4, 4), strict=True):
            norm.weight.fill_(float((ones / WIDTH + made.config.rms_norm_eps) ** 0.5))
    return load(made, tokenizer=make_tokenizer(), name=name)


def text(documents: int = 24, fit_documents: int = 60, length: int = 33, seed: int = 0) -> Text:
    """Each token is the one before the last, but for a few that are drawn."""
    parts = [_drawn(np.random.default_rng([seed, i]), n, length)
             for i, n in enumerate((documents, fit_documents))]  # fmt: skip
    return text_of("two back", parts[0], parts[1])


def _drawn(rng: np.random.Generator, documents: int, length: int) -> IntArray:
    tokens = rng.integers(1, WORDS + 1, (documents, length))
    tokens[:, 0] = 0
    for at in range(3, length):
        again = rng.random(documents) > FRESH
        tokens[:, at] = np.where(again, tokens[:, at - 2], tokens[:, at])
    return tokens


def _before(tokens: Tensor) -> Tensor:
    """The token before, one-hot in the block that L1.H0 reads; nothing before there is one."""
    out = torch.zeros(*tokens.shape, WIDTH)
    words = tokens[:, :-1]
    places = torch.nn.functional.one_hot(words, 49).float()
    places[..., 0] = 0
    out[:, 1:, START["previous"] : START["previous"] + 49] = places
    return out


def claim(name: str, make: Callable[[Tensor], Tensor]) -> Explanation:
    """A claim about what is written."""

    def rule(view: View) -> Tensor:
        return make(view.tokens)

    rule.__doc__ = f"Writes {name}."
    return explanation(gives="out", reads=["tokens"], name=name)(rule)


def _rescaled(tokens: Tensor) -> Tensor:
    return 0.2 * _before(tokens)


def _beside(tokens: Tensor) -> Tensor:
    """Right, and a large constant where nobody reads: only norms feel it."""
    out = _before(tokens)
    out[..., START["aside"]] = MUCH
    return out


def _half(tokens: Tensor) -> Tensor:
    """Right of half of the words; nothing is said of the others."""
    out = _before(tokens)
    out[..., START["previous"] + 25 : START["previous"] + 49] = 0
    return out


def _wrong(tokens: Tensor) -> Tensor:
    """The current token in the place of the one before."""
    out = torch.zeros(*tokens.shape, WIDTH)
    places = torch.nn.functional.one_hot(tokens, 49).float()
    places[..., 0] = 0
    out[..., START["previous"] : START["previous"] + 49] = places
    return out


CLAIMS: Mapping[str, Explanation] = {
    "right": claim("the token before", _before),
    "rescaled": claim("a fifth of the token before", _rescaled),
    "beside": claim("the token before, and much beside it", _beside),
    "half": claim("the token before, of half of the words", _half),
    "wrong": claim("the current token", _wrong),
}


def by_way(times: float) -> Explanation:
    """Of L1.H0: it copies what L0.H0 writes, which is so many times the token before, divided by that again."""

    @explanation(
        gives="out",
        reads=[],
        intermediates={"L0.H0.out": claim(
            "the token before, larger", lambda tokens: times * _before(tokens)
        )},
    )  # fmt: skip
    def copies_it(view: View) -> Tensor:
        """Copies what the first head writes."""
        found = view.site("L0.H0.out")
        out = torch.zeros(*found.shape[:2], WIDTH)
        at, to = START["previous"], START["copied"]
        out[..., to : to + 49] = found[..., at : at + 49] / times
        return out

    return copies_it
