"""Neurons written by hand, each a function of the token, for what a label is measured on."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

import unexplained as ux
from unexplained.subject import Subject
from unexplained.testbeds.background import BACKGROUND
from unexplained.testbeds.texts import text_of
from unexplained.testbeds.vocabulary import VOCABULARY, make_tokenizer
from unexplained.testbeds.weights import BALLAST, BALLAST_AT, START, assemble
from unexplained.text import Text

FIRST, SECOND, OTHER_TONGUE, REST = range(1, 9), range(9, 17), range(17, 25), range(25, 47)
OURS = range(1, 17)
X, Y = 47, 48
"""What follows the first and the second half of the label's words."""
GATE = 10 / (1 + np.exp(-10.0))


@ux.explanation(gives="value", reads=["tokens"])
def ours(view: ux.View) -> Tensor:
    """The token is one of ours."""
    return (view.tokens >= 1) & (view.tokens <= 16)


@ux.explanation(gives="value", reads=["tokens"])
def vague(view: ux.View) -> Tensor:
    """The token is one of ours or of the neighbours'."""
    return (view.tokens >= 1) & (view.tokens <= 24)


@ux.explanation(gives="value", reads=["tokens"])
def neighbours(view: ux.View) -> Tensor:
    """The token is one of the neighbours'."""
    return (view.tokens >= 17) & (view.tokens <= 24)


def words(name: str, seed: int, *, ours: float, others: float, documents: int = 48) -> Text:
    """Words at random, each followed by what follows it: X, Y, or another of the rest."""
    draw = np.random.default_rng(seed)

    def rows(count: int) -> Any:
        kinds = draw.choice(3, size=(count, 12), p=[ours, others, 1 - ours - others])
        word = np.select([kinds == 0, kinds == 1], [draw.integers(1, 17, kinds.shape), draw.integers(17, 25, kinds.shape)], draw.integers(25, 47, kinds.shape))  # fmt: skip
        after = np.select([kinds > 0, word < 9], [draw.integers(25, 47, kinds.shape), X], Y)
        body = np.stack([word, after], -1).reshape(count, -1)
        return np.pad(body, ((0, 0), (1, 0)))

    return text_of(name, rows(documents), rows(documents))


@cache
def narrow() -> Text:
    """Half of ours, nothing of the neighbours."""
    return words("narrow", 0, ours=0.5, others=0.0)


@cache
def broad() -> Text:
    """Little of ours, much of the neighbours."""
    return words("broad", 1, ours=0.2, others=0.3)


Neurons = list[tuple[Mapping[range, float], Mapping[int, float]]]


def plain(neurons: Neurons) -> Any:
    """A model whose first layer has these neurons: words → activation, and what one of it adds to logits."""
    model: Any = assemble(BACKGROUND)
    mlp = model.model.layers[0].mlp
    with torch.no_grad():
        for i, (active, writes) in enumerate(neurons):
            mlp.gate_proj.weight[i, BALLAST_AT] = 10 / BALLAST
            for some, value in active.items():
                for token in some:
                    mlp.up_proj.weight[i, START["token"] + token] = value / GATE
            for token, weight in writes.items():
                mlp.down_proj.weight[START["copied"] + token, i] = weight / 8
    assert len(VOCABULARY) == 49
    return model


def written(neurons: Neurons) -> Subject:
    """The same, opened."""
    return ux.load(plain(neurons), tokenizer=make_tokenizer(), device="cpu", name="written")


@cache
def gated() -> Subject:
    """N0 is active on ours alone, and what it says is which half; N1 is the label; N2 is active on neighbours too."""
    return written(GATED)


GATED: Neurons = [
    ({FIRST: 1.0, SECOND: 3.0}, {X: -4.0, Y: 4.0}),
    ({OURS: 1.0}, {X: 8.0, Y: -8.0}),
    ({OURS: 1.0, OTHER_TONGUE: 1.0}, {X: 0.5, Y: 0.5}),
]


@cache
def duplicates() -> Subject:
    """N0 and N1 do the same, and one of them is enough; N2, active on the same words, does something else."""
    same = ({FIRST: 1.0, SECOND: 0.2}, {X: 8.0})
    return written([same, same, ({FIRST: 0.2, SECOND: 1.0}, {Y: 16.0})])
