"""Orbits in a model's tokens, and why some of them cannot be cut."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from unexplained.errors import TextError
from unexplained.text.behaviours import Contrast, Orbit
from unexplained.text.document import Pair
from unexplained.text.tokens import Encoder

NOT_ONE = "for a word that is not one token after its prompt"
LENGTHS = "for prompts of unequal length"
SAME = "for prompts or words that are the same tokens"
REPEATED = "for having the tokens of another"


@dataclass(frozen=True)
class Passed:
    """An orbit that was passed over."""

    why: str
    """One of the reasons above, or that the other part has its prompt."""
    contrast: Contrast
    """The first one that it holds for."""


@dataclass(frozen=True, eq=False)
class Cut:
    """An orbit in a model's tokens."""

    id: str
    pairs: tuple[Pair, ...]
    part: Literal["", "eval", "fit"] = ""

    @property
    def prompts(self) -> set[bytes]:
        """The tokens of all prompts."""
        return {ids.tobytes() for pair in self.pairs for ids in (pair.tokens, pair.corrupted)}

    @property
    def kind(self) -> str:
        """What orbits are balanced over: all labels of all pairs."""
        return repr(sorted(sorted(pair.labels.items()) for pair in self.pairs))


def cut_all(tokens: Encoder, orbits: list[Orbit], domain: str) -> tuple[list[Cut], list[Passed]]:
    """The orbits whose every pair can be cut, and those that cannot be."""
    strings = sorted({text for orbit in orbits for text in _strings(orbit)})
    encoded = dict(zip(strings, tokens.encode(strings, spelt=True), strict=True))
    found: list[Cut] = []
    passed: list[Passed] = []
    taken: set[tuple[bytes, bytes, int, int]] = set()
    for orbit in orbits:
        for contrast in orbit.contrasts:
            _require_one_start(tokens, contrast, encoded[contrast.clean])
        made = [_pair(encoded, contrast, orbit, domain) for contrast in orbit.contrasts]
        here = [pair for pair in made if isinstance(pair, Pair)]
        keys = {_key(pair) for pair in here}
        if reasons := [reason for reason in made if isinstance(reason, Passed)]:
            passed.append(reasons[0])
        elif len(keys) < len(here) or keys & taken:
            passed.append(Passed(REPEATED, orbit.contrasts[0]))
        else:
            taken |= keys
            found.append(Cut(orbit.id, tuple(here), orbit.part))
    return found, passed


def _require_one_start(tokens: Encoder, contrast: Contrast, ids: NDArray[np.int32]) -> None:
    """Refuse a line that writes the token which the tokenizer puts first, and so has it twice."""
    size = len(tokens.prefix)
    if contrast.where and size and tuple(ids[size : 2 * size].tolist()) == tokens.prefix:
        raise TextError(
            contrast.where,
            f"its prompt begins with {tokens.subject.tokenizer.decode(list(tokens.prefix))}, which "
            "the tokenizer adds by itself",
            "Leave it out.",
        )


def _strings(orbit: Orbit) -> Iterator[str]:
    for contrast in orbit.contrasts:
        for prompt in (contrast.clean, contrast.corrupted):
            yield from (prompt, prompt + contrast.answer, prompt + contrast.wrong)


def _pair(
    encoded: dict[str, NDArray[np.int32]], contrast: Contrast, orbit: Orbit, domain: str
) -> Pair | Passed:
    """The pair in tokens, or why it is passed over; a file's line is told instead."""
    clean, corrupted = encoded[contrast.clean], encoded[contrast.corrupted]
    if len(clean) != len(corrupted):
        if contrast.where:
            raise TextError(
                contrast.where,
                f"its prompts have {len(clean)} and {len(corrupted)} tokens",
                "Activations are exchanged position by position: use words of equally many tokens.",
            )
        return Passed(LENGTHS, contrast)
    ids = []
    for word in (contrast.answer, contrast.wrong):
        # The same token after either prompt: it is also asked for after the corrupted one.
        after = {
            word_after(encoded[prompt], encoded[prompt + word])
            for prompt in (contrast.clean, contrast.corrupted)
        }
        if len(after) > 1 or None in after:
            return Passed(NOT_ONE, contrast)
        ids += [number for number in after if number is not None]
    if np.array_equal(clean, corrupted) or ids[0] == ids[1]:
        return Passed(SAME, contrast)
    return Pair(
        contrast.id,
        domain,
        clean,
        corrupted=corrupted,
        answer=ids[0],
        wrong=ids[1],
        orbit=orbit.id,
        labels=contrast.labels,
        given=contrast.values,
    )


def word_after(before: NDArray[np.int32], whole: NDArray[np.int32]) -> int | None:
    """The token that a word is after a prompt; None where it is several or changes the prompt's.

    Args:
        before: The prompt's tokens.
        whole: Those of the prompt with the word.
    """
    one = len(before) > 0 and len(whole) == len(before) + 1 and np.array_equal(whole[:-1], before)
    return int(whole[-1]) if one else None


def _key(pair: Pair) -> tuple[bytes, bytes, int, int]:
    return pair.tokens.tobytes(), pair.corrupted.tobytes(), pair.answer, pair.wrong
