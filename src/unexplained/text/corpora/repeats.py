"""Random tokens, then the same tokens again: the text on which induction is all there is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from unexplained.errors import TextError
from unexplained.subject.shipped import Training, training_of
from unexplained.text.document import Block, Part
from unexplained.text.draw import Parts, Request

POOL = 4096
"""Blocks in the pool for n-gram counts."""
_STREAM = {"eval": 0, "fit": 1}


def parts(request: Request) -> Parts:
    """Blocks of a segment of random ordinary tokens and the same segment again.

    The segment has `block // 2` tokens drawn uniformly and with replacement. If the tokenizer adds
    tokens at the start, they come first, once, and the segment has half of what they leave. An odd
    number leaves the block one token short. For a model of ours that was trained on repeated segments
    it is no longer than those were: longer ones are out of its distribution, as all are for models
    trained on natural text alone, and the notes say so.

    The eval and fit blocks come from different random streams, one generator for each block, so a
    block is the same however many others are asked for.
    """
    tokens = request.tokens
    prefix = np.array(tokens.prefix, dtype=np.int32)
    room = (request.block - len(prefix)) // 2
    training = training_of(tokens.subject)
    known = training.segments if training else None
    length = min(room, known[1]) if known else room
    ordinary = tokens.ordinary
    if length < 2 or len(ordinary) < 2:
        raise TextError(
            "Repeated random tokens",
            f"a block of {request.block} holds a segment of {max(length, 0)} tokens, "
            f"drawn from {len(ordinary)}",
            "Both must be at least 2: ask for longer blocks.",
        )

    def make(which: Part, index: int) -> Block:
        generator = np.random.default_rng([request.seed, _STREAM[which], index])
        segment = generator.choice(ordinary, size=length).astype(np.int32)
        ids = np.concatenate([prefix, segment, segment])
        name = hashlib.sha256(ids.astype("<i4").tobytes()).hexdigest()[:16]
        return Block(name, "repeats", ids, second_copy=len(prefix) + length)

    def pool() -> Iterator[NDArray[np.int32]]:
        return (make("fit", index).tokens for index in range(POOL))

    return Parts(
        eval=tuple(make("eval", index) for index in range(request.documents)),
        fit=tuple(make("fit", index) for index in range(request.fit_documents)),
        pool=pool,
        # Segments are as long as the model was trained on: two of one tokenizer have two pools.
        pool_fingerprint=f"repeats {tokens.fingerprint} {request.seed} {request.block} {length} {POOL}",
        notes=(
            f"Each block repeats a segment of {length} tokens, drawn uniformly from "
            f"{len(ordinary):,} ordinary ones.",
            *_outside(tokens.subject.name, training, length, room),
        ),
    )


def _outside(name: str, training: Training | None, length: int, room: int) -> list[str]:
    """How these blocks differ from what a model was trained on, where that is known."""
    if training is None:
        return []
    if training.segments is None:
        return [f"{name} was trained on natural text alone: random tokens are no text of its kind."]
    shortest, longest = training.segments
    trained = f"{name} was trained on repeated segments of {shortest} to {longest} tokens"
    if length < shortest:
        return [f"{trained}: shorter ones are no text of its kind."]
    if length < room:
        return [f"{trained}, so they are no longer here, though a block has room for {room}."]
    return []
