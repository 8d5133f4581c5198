"""What tests by kind share: toy subjects of every sort of tokenizer, and two ways to be right.

A case is right if its number or its text is, or if it is refused by name: an error of the
project's own, whose words say what is wrong and what would help. Anything else is a fault: a wrong
number, a changed text of which nothing is said, advice that does not help, a raw traceback.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from unexplained.errors import UnexplainedError
from unexplained.sites import Shape

T = TypeVar("T")


@dataclass(frozen=True)
class Toy:
    """A subject of which only the tokenizer is there."""

    tokenizer: PreTrainedTokenizerBase
    shape: Shape
    name: str = "toy"


def subject_of(
    backend: Tokenizer,
    *,
    before: Sequence[str] = (),
    after: Sequence[str] = (),
    special: Sequence[str] = (),
    **named: str,
) -> Toy:
    """A subject with these special tokens, some of them put before and after every text."""
    backend.add_special_tokens(list(dict.fromkeys([*before, *after, *special])))
    if before or after:
        template = " ".join([*before, "$A", *after])
        ids = [(name, backend.token_to_id(name)) for name in dict.fromkeys([*before, *after])]
        backend.post_processor = processors.TemplateProcessing(single=template, special_tokens=ids)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, **named)
    return Toy(tokenizer, Shape(1, 1, 1, 4, 4, 4, backend.get_vocab_size()))


def byte_level(merges: Iterable[tuple[str, str]] = ()) -> Tokenizer:
    """Bytes, and what some merges make of them; gives every text back."""
    there = list(merges)
    names = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *(a + b for a, b in there)]
    backend = Tokenizer(models.BPE({name: i for i, name in enumerate(names)}, there))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    return backend


def runs_of(letter: str, longest: int) -> list[tuple[str, str]]:
    """Merges that make one token of a letter 2, 4, …, `longest` times."""
    found, size = [], 1
    while size < longest:
        found.append((letter * size, letter * size))
        size *= 2
    return found


def word_level(words: Iterable[str], unknown: str = "?") -> Tokenizer:
    """One token for each word between white space."""
    ids = {word: i for i, word in enumerate(dict.fromkeys([unknown, *words]))}
    backend = Tokenizer(models.WordLevel(ids, unk_token=unknown))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return backend


def plain(subject: Toy, text: str) -> list[int]:
    """What Hugging Face's tokenizer makes of a text by itself."""
    ids: list[int] = subject.tokenizer(text)["input_ids"]
    return ids


def lines(path: Path, rows: Iterable[object]) -> str:
    """A .jsonl file of rows."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def says(error: UnexplainedError, *patterns: str, never: str = "") -> None:
    """Check that an error has words, and that some advice is not among them."""
    said = str(error)
    lacking = [pattern for pattern in patterns if not re.search(pattern, said, re.IGNORECASE)]
    assert not lacking, f"nothing of {lacking} in: {said}"
    assert not never or not re.search(never, said, re.IGNORECASE), f"advice of no use: {said}"


def right_or_refused(
    attempt: Callable[[], T], right: Callable[[T], object], *patterns: str, never: str = ""
) -> T | None:
    """Check what is given, or the words with which it is refused; None where it is."""
    try:
        found = attempt()
    except UnexplainedError as error:
        says(error, *patterns, never=never)
        return None
    right(found)
    return found


def refusal(attempt: Callable[[], object], *patterns: str, never: str = "") -> UnexplainedError:
    """Check that it is refused in these words, by an error of the project's own."""
    try:
        found = attempt()
    except UnexplainedError as error:
        says(error, *patterns, never=never)
        return error
    raise AssertionError(f"it was not refused: {found!r}")
