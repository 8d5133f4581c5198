"""A head of which only a known subspace of the query matters, with queries that nothing reads beside it.

L1.H0 does strict induction by codes of 12 entries instead of one entry a token: the query holds the
current token's code in A, keys hold the previous token's in A and in B. Queries hold nothing in B. In N
they hold another token's code (`other`) or the same once more (`same`), much larger, and no key has
anything there. So:

- the projection of the query on A is the query, as far as anything reads it;
- of `other`, most of its variance is in N, which does nothing;
- of `same`, directions halfway between N and B put what N holds into B, where keys read it: the head
  works by them as well as it does, and not because of anything that it does itself (an illusion,
  Makelov, Lange and Nanda 2023).
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

import unexplained as ux
from unexplained.subject import Subject
from unexplained.testbeds import texts
from unexplained.testbeds.background import BACKGROUND, PLANTED_AT
from unexplained.testbeds.texts import text_of
from unexplained.testbeds.vocabulary import WORDS, make_tokenizer
from unexplained.testbeds.weights import HEAD_SIZE, START, Head, assemble, move, sink
from unexplained.text import Text

AT = PLANTED_AT
CODE = 12
A, B = range(7, 7 + CODE), range(19, 19 + CODE)
"""First entries of pairs that rotary embedding hardly turns."""
N = (*range(6), *range(32, 38))
"""Of the pairs that it turns most."""
MATCHED, SUNK = 720.0, 480.0
"""Scores of the same code and of BOS. Codes differ in 4 entries of 12 or more: others score 240 at most."""


def codes() -> np.ndarray:
    """(word, entry) of length 1, no two with more than a third in common."""
    found: list[np.ndarray] = []
    rng = np.random.default_rng(0)
    while len(found) < WORDS:
        one = rng.choice([-1.0, 1.0], CODE)
        if all(one @ other <= CODE - 8 for other in found):
            found.append(one)
    return np.array(found) / CODE**0.5


def _head(beside: str) -> Head:
    head = Head.dead()
    head = Head(*(tensor.clone() for tensor in vars(head).values()))  # not of one zeros
    strength = (MATCHED * HEAD_SIZE**0.5) ** 0.5
    every = torch.from_numpy(codes()).float()
    for token, code in enumerate(every, start=1):
        held = code if beside == "same" else every[7 * token % WORDS]
        head.query[list(A), START["token"] + token] = strength * code
        head.query[list(N), START["token"] + token] = 2 * strength * held
        head.key[list(A), START["previous"] + token] = strength * code
        head.key[list(B), START["previous"] + token] = strength * code
    return head + sink(SUNK) + move("token", "copied")


@cache
def model(beside: str = "other") -> Subject:
    """The model, opened."""
    made = assemble({**BACKGROUND, AT: _head(beside)})
    return ux.load(made, tokenizer=make_tokenizer(), device="cpu", name="subspaced")


@cache
def text() -> Text:
    """Documents that repeat tokens at irregular distances."""
    parts = [texts.irregular(np.random.default_rng([0, part]), 16, 40) for part in (0, 1)]
    return text_of("irregular", parts[0], parts[1])


def entries(*some: range | tuple[int, ...]) -> np.ndarray:
    """One direction a row: the sums of entries that stand at one place in each of some lists."""
    rows = np.zeros((CODE, HEAD_SIZE))
    for one in some:
        rows[np.arange(CODE), list(one)] = 1.0
    return rows
