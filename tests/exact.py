"""Pairs of made-up prompts, tiny models in float64, and what attribution should say by other means."""

from __future__ import annotations

import types
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from tiny import VOCABULARY, tiny_subject
from unexplained.subject import Batch, Subject
from unexplained.subject.anatomy import Anatomy
from unexplained.text import Block, Pair, Text


def pair(number: int, length: int, shared: int) -> Pair:
    """Random tokens that begin alike; pairs 2n and 2n + 1 are one orbit."""
    rng = np.random.default_rng(100 + number)
    tokens = rng.integers(0, VOCABULARY, length).astype(np.int32)
    corrupted = tokens.copy()
    corrupted[shared:] = (corrupted[shared:] + 1 + number) % VOCABULARY
    answer, wrong = rng.choice(VOCABULARY, 2, replace=False)
    return Pair(
        f"p{number}", "made up", tokens, corrupted=corrupted, answer=int(answer),
        wrong=int(wrong), orbit=f"o{number // 2}", labels={},
    )  # fmt: skip


def swapped(one: Pair) -> Pair:
    """The role-swap of a pair: each prompt is the other's corrupted one."""
    return replace(
        one, document=f"{one.document}, swapped", tokens=one.corrupted, corrupted=one.tokens,
        answer=one.wrong, wrong=one.answer,
    )  # fmt: skip


def text_of(*blocks: Block) -> Text:
    return Text("made up", blocks, blocks, lambda: iter(()), "p", 12, VOCABULARY, "f", (), {})


PAIRS = (pair(0, 8, 3), pair(1, 9, 4), pair(2, 8, 0), pair(3, 7, 2), pair(4, 9, 5))
TEXT = text_of(*PAIRS)


def double_subject(name: str) -> Subject:
    """A tiny model in float64 throughout; Hugging Face's RMS norms and routers would round to float32."""
    opened = tiny_subject(name)
    model = opened.anatomy.model.double()
    model.set_experts_implementation("eager")  # the others are of float32 alone
    for module in model.modules():
        if type(module).__name__.endswith("TopKRouter"):
            module.forward = types.MethodType(_route, module)  # type: ignore[method-assign]
        if type(module).__name__.endswith("RMSNorm"):
            module.forward = types.MethodType(_rms, module)  # type: ignore[method-assign]
    # `load` would refuse these norms: the changed model is made a subject by hand.
    return Subject(opened.name, Anatomy.of(model), opened.tokenizer, opened.precision)


def _rms(self: torch.nn.Module, x: Tensor) -> Tensor:
    eps = getattr(self, "variance_epsilon", None) or self.eps
    gain = 1 + self.weight if "Gemma" in type(self).__name__ else self.weight
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * gain


def _route(self: torch.nn.Module, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    logits = torch.nn.functional.linear(x.reshape(-1, x.shape[-1]), self.weight)
    share, index = logits.softmax(-1).topk(self.top_k, dim=-1)
    return logits, share / share.sum(-1, keepdim=True), index


def batches(one: Pair) -> tuple[Batch, Batch]:
    """The clean and the corrupted prompt, each alone."""
    clean, corrupted = (
        Batch.of(torch.tensor(ids[None].astype(np.int64))) for ids in (one.tokens, one.corrupted)
    )
    return clean, corrupted


def logit_difference(subject: Subject, normed: Tensor, one: Pair) -> float:
    """The logit difference at the last position."""
    logits = subject.logits(normed[0, -1])
    return float(logits[one.answer] - logits[one.wrong])
