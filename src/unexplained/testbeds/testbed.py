"""What a testbed is: a model whose right answer is known, the text to ask on, the truth and decoys.

One file each in this folder, written by hand (`planted.register`) or trained (`TESTBEDS.add`); found
by itself, reachable as `testbed:NAME` wherever a model, a text or an explanation is asked for, and
under the law tests: the truth scores 1, nothing scores 0, every decoy is caught.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import nn
from transformers import PreTrainedTokenizerBase

from unexplained.errors import SubjectError, TextError
from unexplained.explanations import StandIn
from unexplained.registry import Registry
from unexplained.sites import Site
from unexplained.testbeds.vocabulary import IntArray
from unexplained.text import Text
from unexplained.text.tokens import Tokenized

MakeModel = Callable[[], tuple[nn.Module, PreTrainedTokenizerBase]]
"""Makes the model anew, with its tokenizer."""

TextMaker = Callable[[int, int, int], Text]
"""Documents to measure on, documents to fit on and a seed, to a text; of pairs, orbits."""


@dataclass(frozen=True)
class Testbed:
    """A model with a known right answer."""

    __test__: ClassVar[bool] = False  # for pytest, which collects by name

    name: str
    says: str
    """The truth, in a sentence."""
    model: MakeModel
    text: TextMaker
    sites: tuple[Site, ...]
    """The components that the truth is about."""
    truth: StandIn
    decoys: tuple[StandIn, ...] = ()
    """Claims about them that are wrong, and that the text can tell from the truth."""
    held_at: tuple[Site, ...] = ()
    """Where truth and decoys are held against each other; all of `sites` if empty."""
    worth: bool = True
    """Whether anything is lost without the components: else every fraction must be refused."""

    @property
    def where(self) -> tuple[Site, ...]:
        """Where truth and decoys are held against each other."""
        return self.held_at or self.sites


TESTBEDS: Registry[Callable[[], Testbed]] = Registry(
    "testbed", "unexplained.testbeds", SubjectError
)


def testbed(name: str) -> Testbed:
    """A testbed by name.

    Args:
        name: As after `testbed:` on the command line.

    Raises:
        SubjectError: There is none of that name.
    """
    return TESTBEDS.get(name)()


testbed.__test__ = False  # type: ignore[attr-defined]


def open_model(name: str) -> tuple[nn.Module, PreTrainedTokenizerBase]:
    """The model of a testbed and its tokenizer, for `load("testbed:NAME")`."""
    return testbed(name).model()


def open_text(
    name: str, subject: Tokenized, *, documents: int, fit_documents: int, seed: int
) -> Text:
    """The text of a testbed, for `text("testbed:NAME", subject)`.

    Raises:
        TextError: The model has other tokens.
    """
    bed = testbed(name)
    _, tokenizer = bed.model()
    if subject.tokenizer.get_vocab() != tokenizer.get_vocab():
        raise TextError(
            f"The text of the testbed '{name}' for {subject.name}",
            "it is made of the testbed's own tokens, and the model has others",
            f"Open the testbed's model: testbed:{name}.",
        )
    return bed.text(documents, fit_documents, seed)


def has_pairs(name: str) -> bool:
    """Whether its text is one of pairs of prompts."""
    return testbed(name).text(2, 2, 0).pairs


def truth_of(name: str) -> StandIn:
    """The true explanation, for `--explanation testbed:NAME`."""
    return testbed(name).truth


def running_text(
    name: str, draw: Callable[[np.random.Generator, int], IntArray], *, second_copy: int = 0
) -> TextMaker:
    """A maker of texts from a drawer of token arrays (documents, position).

    Args:
        name: What the text is called.
        draw: Draws so many documents; parts have a stream of their own.
        second_copy: Where documents repeat themselves, if they do.
    """
    from unexplained.testbeds.texts import text_of

    def make(documents: int, fit_documents: int, seed: int) -> Text:
        parts = [
            draw(np.random.default_rng([seed, part]), count)
            for part, count in enumerate((documents, fit_documents))
        ]
        return text_of(name, parts[0], parts[1], second_copy=second_copy)

    return make


def pairs_from(maker: str) -> TextMaker:
    """A maker of texts of pairs, from a function of `prompts`."""

    def make(orbits: int, fit_orbits: int, seed: int) -> Text:
        from unexplained.testbeds import prompts  # it takes a word from a testbed's own file

        named = maker.replace("_", " ")
        draw = getattr(prompts, maker)
        return prompts.pairs_text(named, draw, orbits=orbits, fit_orbits=fit_orbits, seed=seed)

    return make
