"""The label of the French neurons: the text so far is French, told by its small words.

unexplained label smollm2-135m --label examples/french.py:french --near examples/french.py:romance --text handbook --text webmix
"""

import torch
from torch import Tensor

import unexplained as ux

WORDS = {
    "French": "le les des du une est dans pour qui pas sur avec aux cette vous nous elle sont leur leurs être peut mais même ces ont cela c'est",
    "English": "the of and to is that for with this be it are on by or not from which can you",
    "German": "der das und ist nicht ein eine zu den von mit auf für sich dem im werden auch wird kann",
    "Spanish": "el los las del una para por con su como más pero está al lo este ser",
    "Italian": "il di che è per della sono gli nel non alla dei",
    "Portuguese": "os um uma não para com do da em são ao dos",
}
LATELY = 24
"""Tokens that are looked back on."""
FEWEST = 2
"""Small words that tell a language."""


def for_vocabulary(words: list[str]) -> list[ux.Explanation]:
    """Both labels, for a tokenizer whose tokens have this text."""
    known = {
        language: torch.tensor(
            [i for i, word in enumerate(words) if word.strip().lower() in some.split()]
        )
        for language, some in WORDS.items()
    }

    def lately(tokens: Tensor, language: str) -> Tensor:
        """How many small words of a language stand among the last tokens, (batch, position)."""
        found = torch.isin(tokens, known[language]).long().cumsum(1)
        return found - torch.nn.functional.pad(found, (LATELY, 0))[:, :-LATELY]

    def is_language(tokens: Tensor, language: str) -> Tensor:
        """Whether it has at least two of them, and more than every other language."""
        counts = {name: lately(tokens, name) for name in WORDS}
        others = torch.stack([count for name, count in counts.items() if name != language])
        return (counts[language] >= FEWEST) & (counts[language] > others.max(0).values)

    @ux.explanation(gives="value", reads=["tokens"])
    def french(view: ux.View) -> Tensor:
        """The text so far is French: of the last 24 tokens two or more are its small words, more than another language's."""
        return is_language(view.tokens, "French")

    @ux.explanation(gives="value", reads=["tokens"])
    def romance(view: ux.View) -> Tensor:
        """The text so far is Spanish, Italian or Portuguese, told in the same way."""
        found = [is_language(view.tokens, name) for name in ("Spanish", "Italian", "Portuguese")]
        return torch.stack(found).any(0)

    return [french, romance]
