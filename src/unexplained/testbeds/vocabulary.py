"""The vocabulary of the planted models: one BOS token and tokens without meaning."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

BOS = 0
"""Stands at position 0 of every document and nowhere else."""

WORDS = 48
"""Number of tokens besides BOS; their ids are 1 … WORDS and they read `t1` … `t48`."""

VOCABULARY = ("<bos>", *(f"t{i}" for i in range(1, WORDS + 1)))
"""Token texts by id."""

COPIED = tuple(range(1, WORDS // 2 + 1))
"""The class A of `half_induction`: tokens after which its head does induction."""

FOLLOWED = tuple(range(WORDS // 2 + 1, WORDS + 1))
"""The class B of `half_induction`: tokens that have a fixed successor."""


def successor(token: int) -> int:
    """The one token of class A that may follow a token of class B.

    >>> successor(25), successor(48)
    (1, 24)
    """
    return token - WORDS // 2


def make_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer that splits at white space and puts BOS in front.

    It has no token for unknown words: encoding a word that is not in the vocabulary is an error
    of the `tokenizers` library, never a silent replacement.

    >>> make_tokenizer()("t3 t1")["input_ids"]
    [0, 3, 1]
    """
    tokenizer = Tokenizer(WordLevel({text: i for i, text in enumerate(VOCABULARY)}))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.post_processor = TemplateProcessing(
        single=f"{VOCABULARY[BOS]} $A", special_tokens=[(VOCABULARY[BOS], BOS)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=VOCABULARY[BOS])
