"""Write attention heads by hand into an ordinary Llama checkpoint without MLPs.

The residual stream has four blocks of one coordinate per token: `token` (embedding), `previous`
(layer 0), `copied` (layer 1, read by the unembedding) and `aside` (written, never read); and a
`ballast` coordinate, the same everywhere and so large that every RMSNorm divides by the same
number whatever the heads write. The norms' gains undo that division, so a head reads the stream
as it is.

A head's coordinates are split by rotary frequency. The fast pairs carry position alone (biases).
The slow pairs carry token identity: over `POSITIONS` tokens they turn by less than 1e-5 radians,
whose cosine is 1 in float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from unexplained.sites import Site
from unexplained.testbeds.losses import GAIN
from unexplained.testbeds.vocabulary import BOS, VOCABULARY, WORDS

LAYERS, HEADS, HEAD_SIZE = 2, 4, 64
WIDTH = HEADS * HEAD_SIZE
POSITIONS = 512
"""Longest document for which the derivations hold."""

ROPE_BASE = 1e36
FAST_PAIRS = 7
SHARPNESS = (1024.0, 2048.0, 2048.0)
"""Score amplitudes of the first fast pairs. Over 512 positions Σ aᵢ(1 − cos ωᵢk) ≥ 245 for k ≠ 0
(tests/test_planted.py), so that the softmax of all other distances is 0 in float32."""

MATCH, SINK = 240.0, 120.0
"""Scores of a matching token and of BOS; everything else scores 0. exp(−120) is 0 in float32."""

DISTANT_SINK = sum(SHARPNESS) - 120.0
"""Score of BOS for a head that looks by distance: below the peak, above everything off it."""

BALLAST = 1024.0
NEVER = -40.0
"""Logit of BOS, which is never predicted: e⁻⁴⁰ is lost in float32 beside 1."""

StreamSlice = Literal["token", "previous", "copied", "aside"]
START: Mapping[StreamSlice, int] = {
    "token": 0,
    "previous": len(VOCABULARY),
    "copied": 2 * len(VOCABULARY),
    "aside": 3 * len(VOCABULARY),
}
BALLAST_AT = len(START) * len(VOCABULARY)

_HALF = HEAD_SIZE // 2
_IDENTITY = [_HALF - 1, *range(FAST_PAIRS, _HALF - 1), *range(_HALF + FAST_PAIRS, HEAD_SIZE - 1)]
"""Coordinate of each id. The other half of BOS's pair stays empty: every query holds BOS's
coordinate (`sink`), and would leak into a token beside it by a rounding step per distance."""


@dataclass(frozen=True)
class Head:
    """The weights of one head, or of one thing that a head does; heads add up with `+`."""

    query: Tensor
    """(head size, width)."""
    query_bias: Tensor
    key: Tensor
    key_bias: Tensor
    value: Tensor
    output: Tensor
    """(width, head size)."""

    def __add__(self, other: Head) -> Head:
        """Both sets of weights, added; scores add up where the coordinates do not meet."""
        return Head(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @classmethod
    def dead(cls) -> Head:
        """A head of zeros: it attends evenly and writes nothing."""
        square, vector = torch.zeros(HEAD_SIZE, WIDTH), torch.zeros(HEAD_SIZE)
        return cls(square, vector, square, vector, square, square.T)


def match(key: StreamSlice, words: Iterable[int]) -> Head:
    """Score `MATCH` wherever `key` holds the current token, for those current tokens."""
    head = _blank()
    strength = _root(MATCH)
    for token in words:
        head.query[_IDENTITY[token], START["token"] + token] = strength
        head.key[_IDENTITY[token], START[key] + token] = strength
    return head


def sink(score: float = SINK) -> Head:
    """A score for BOS from every position: where attention goes when nothing scores higher.

    It uses the identity coordinate of BOS, so it cannot be added to a `match` of BOS.
    """
    head = _blank()
    head.query_bias[_IDENTITY[BOS]] = _root(score)
    head.key[_IDENTITY[BOS], START["token"] + BOS] = _root(score)
    return head


def at_distance(
    distance: int, words: Iterable[int] | None = None, *, see_bos: bool = False
) -> Head:
    """Score by distance alone: the sum of `SHARPNESS` at `distance`, at least 245 less elsewhere.

    Args:
        distance: Positions back; 0 is the current position.
        words: Current tokens that look by distance; None for every position.
        see_bos: Whether BOS has a place like any token; otherwise it scores 0, so that a `sink`
            can decide what happens before there is anything at that distance.
    """
    head = _blank()
    for pair, amplitude in enumerate(SHARPNESS):
        angle = distance * ROPE_BASE ** (-pair / _HALF)
        strength = _root(amplitude)
        head.key_bias[pair] = strength * math.cos(angle)
        head.key_bias[pair + _HALF] = strength * math.sin(angle)
        if words is None:
            head.query_bias[pair] = strength
        else:
            head.query[pair, [START["token"] + token for token in words]] = strength
    if not see_bos:
        head.key[:, START["token"] + BOS] = -head.key_bias
    return head


def move(
    read: StreamSlice, write: StreamSlice, to: Callable[[int], int] = lambda token: token
) -> Head:
    """Add the attended position's `read` block to `write`, with `to` applied; BOS adds nothing."""
    head = _blank()
    for token in range(1, WORDS + 1):
        head.value[to(token), START[read] + token] = 1.0
        head.output[START[write] + token, token] = 1.0
    return head


def move_all(read: StreamSlice, write: StreamSlice) -> Head:
    """As `move`, BOS included."""
    head = move(read, write)
    head.value[BOS, START[read] + BOS] = 1.0
    head.output[START[write] + BOS, BOS] = 1.0
    return head


def move_too(write: StreamSlice, strength: float) -> Head:
    """What a `move` in the same head moves, so many times, to another block as well."""
    head = _blank()
    for token in range(1, WORDS + 1):
        head.output[START[write] + token, token] = strength
    return head


def say(write: StreamSlice, word: int, strength: float) -> Head:
    """Add one token to `write`, so many times, where attention is on BOS."""
    head = _blank()
    head.value[BOS, START["token"] + BOS] = 1.0
    head.output[START[write] + word, BOS] = strength
    return head


def scaled(head: Head, factor: float) -> Head:
    """The same head writing so many times as much; below 0 the opposite."""
    return replace(head, output=head.output * factor)


def softened(head: Head, match: float) -> Head:
    """The same head with this score for a match in the place of `MATCH`, and all in proportion."""
    factor = match / MATCH
    return replace(head, query=head.query * factor, query_bias=head.query_bias * factor)


def silenced(head: Head) -> Head:
    """The same head with an output matrix of zeros."""
    return Head(
        head.query,
        head.query_bias,
        head.key,
        head.key_bias,
        head.value,
        torch.zeros_like(head.output),
    )


def assemble(heads: Mapping[Site, Head]) -> LlamaForCausalLM:
    """A Llama checkpoint, float32 on the CPU, with these heads; all others are dead.

    The norms take one unit of `token` in layer 0, and one of `previous` as well after it.
    """
    # The constructor draws initial weights; the caller's random state is none of its business.
    with torch.random.fork_rng(devices=[]):
        model = LlamaForCausalLM(_config()).float().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        for token in range(len(VOCABULARY)):
            model.model.embed_tokens.weight[token, START["token"] + token] = 1.0
        model.model.embed_tokens.weight[:, BALLAST_AT] = BALLAST
        for index, layer in enumerate(model.model.layers):
            layer.input_layernorm.weight.fill_(_norm_gain(model.config, ones=1 + (index > 0)))
            layer.post_attention_layernorm.weight.fill_(_norm_gain(model.config, ones=2))
        model.model.norm.weight.fill_(_norm_gain(model.config, ones=2))
        for token in range(1, WORDS + 1):
            model.lm_head.weight[token, START["copied"] + token] = GAIN
        model.lm_head.weight[BOS, BALLAST_AT] = NEVER / BALLAST
        for site, head in heads.items():
            _install(model.model.layers[site.layer].self_attn, site.index, head)
    return model


def _install(attention: Any, index: int, head: Head) -> None:
    rows = slice(index * HEAD_SIZE, (index + 1) * HEAD_SIZE)
    attention.q_proj.weight[rows] = head.query
    attention.q_proj.bias[rows] = head.query_bias
    attention.k_proj.weight[rows] = head.key
    attention.k_proj.bias[rows] = head.key_bias
    attention.v_proj.weight[rows] = head.value
    attention.o_proj.weight[:, rows] = head.output


def _config() -> LlamaConfig:
    return LlamaConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=WIDTH,
        intermediate_size=8,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        max_position_embeddings=POSITIONS,
        rope_parameters={"rope_theta": ROPE_BASE, "rope_type": "default"},
        attention_bias=True,
        tie_word_embeddings=False,
        bos_token_id=BOS,
        eos_token_id=None,
        pad_token_id=None,
        dtype="float32",
    )


def _norm_gain(config: LlamaConfig, *, ones: int) -> float:
    return math.sqrt((BALLAST**2 + ones) / WIDTH + config.rms_norm_eps)


def _root(score: float) -> float:
    """Size of the query's and of the key's coordinate whose scaled product is the score."""
    return math.sqrt(score * math.sqrt(HEAD_SIZE))


def _blank() -> Head:
    return Head(*(tensor.clone() for tensor in vars(Head.dead()).values()))
