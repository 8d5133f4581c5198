"""The engine tried on a model before it is trusted: its laws, on a few tokens, against the model itself.

Whatever a table of architectures or a look at the modules has overlooked (an attention that a setting
changes, a mask that looks ahead, a sum that is scaled) shows here as a different number.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from unexplained.errors import SubjectError
from unexplained.sites import Site
from unexplained.subject.anatomy import Anatomy
from unexplained.subject.attention import NAME
from unexplained.subject.edits import Batch, Edit
from unexplained.subject.prefix import run_prefix
from unexplained.subject.run import Pass, run

LENGTH = 8
"""Tokens in a row: room for a beginning and a rest, and for a mask to look the wrong way."""

NEAR = {32: 1e-3, 64: 1e-6, 16: 0.1}
"""By bits of a weight, how far two ways of computing one thing may lie apart, as a share of its
largest entry. Another order of sums moves float32 by 1e-6 to 1e-5; what is wrong moves it by 1."""


def require_reproduced(anatomy: Anatomy) -> None:
    """Try the engine on a model, and refuse what it does not reproduce.

    Six short passes: the model by itself, with transformers' own plain attention; the engine
    watching everything; without its attention's output, other words, from the middle, and after a
    prefix that was run before.

    Raises:
        SubjectError: Which law does not hold.
    """
    tokens = _tokens(anatomy)
    alone = _by_itself(anatomy, tokens)
    if bool(alone.isnan().any()) or bool((alone == torch.inf).any()):
        kind = str(alone.dtype).removeprefix("torch.")
        raise SubjectError(
            f"A model of type '{anatomy.architecture.name}' ({type(anatomy.model).__name__})",
            f"its logits are NaN or infinite on a few tokens (weights in {kind})",
            "In half precision large values overflow: load it in float32. Else look at its weights.",
        )
    middle = anatomy.shape.layers // 2
    batch = Batch.of(tokens)
    whole = run(anatomy, batch, keep=_watched(anatomy), keep_streams=[middle])
    do = "Something in it is not as in its architecture; give the unchanged model."
    if anatomy.shape.expert_neurons and torch.finfo(alone.dtype).bits < 32:
        do = "In half precision rounding sends tokens to other experts: load it in float32."
    laws = _laws(anatomy, whole, alone, batch, middle)
    for found in laws:
        if found:
            raise SubjectError(
                f"A model of type '{anatomy.architecture.name}' ({type(anatomy.model).__name__})",
                f"the engine does not reproduce it: {found}",
                do,
            )


def _laws(anatomy: Anatomy, whole: Pass, alone: Tensor, batch: Batch, middle: int) -> Iterator[str]:
    """One after another what does not hold; empty where it does."""
    bits = torch.finfo(alone.dtype).bits

    def near(what: str, found: Tensor, right: Tensor) -> str:
        found, ruled_out = found.to(right.device), right == -torch.inf
        if not torch.equal(found == -torch.inf, ruled_out):
            return f"{what} (tokens that it rules out are others)"
        right, found = right.masked_fill(ruled_out, 0), found.masked_fill(ruled_out, 0)
        scale, apart = float(right.abs().max()), float((found - right).abs().max())
        return "" if apart <= NEAR[bits] * scale else f"{what} ({apart:.2g} apart of {scale:.2g})"

    with torch.no_grad():
        yield near("its logits are others", anatomy.logits(whole.normed), alone)
        yield from _sums(anatomy, whole, near)
        stop = [Edit(Site(0, "attn"), lambda local: torch.zeros_like(local.value))]
        unmoved = torch.equal(run(anatomy, batch, stop).normed, whole.normed)
        yield "without its first attention its output stays the same" if unmoved else ""
        last = batch.tokens.shape[1] // 2
        other = batch.tokens.clone()
        other[0, last:] = batch.tokens[1, last:]
        other[1] = batch.tokens[1].flip(0)
        changed = run(anatomy, Batch.of(other)).normed
        what = "it is not causal: a token changes predictions before it, or in another row"
        yield near(what, changed[0, :last], whole.normed[0, :last])
        again = run(anatomy, batch, resume=whole.resume(middle)).normed
        yield near("its later layers alone give another output", again, whole.normed)
        prefix = run_prefix(anatomy, batch.tokens[:, :last])
        rest = run(anatomy, batch.since(last), prefix=prefix).normed
        yield near("after a beginning that was run before", rest, whole.normed[:, last:])


def _tokens(anatomy: Anatomy) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    length = min(LENGTH, anatomy.shape.positions or LENGTH)
    drawn = torch.randint(0, anatomy.shape.vocabulary, (2, length), generator=generator)
    embedding: Any = anatomy.model.get_input_embeddings()  # type: ignore[operator]
    return drawn.to(embedding.weight.device)


def _by_itself(anatomy: Anatomy, tokens: Tensor) -> Tensor:
    """Logits by the model's own forward and transformers' plainest attention."""
    model: Any = anatomy.model
    model.set_attn_implementation("eager")
    try:
        with torch.no_grad():
            logits: Tensor = model(input_ids=tokens, use_cache=False).logits
    except Exception as error:  # a model of somebody's may fail in any way
        said = " ".join(str(error).split())[:200]
        raise SubjectError(
            f"A model of type '{anatomy.architecture.name}' ({type(model).__name__})",
            f"it cannot be called with {tokens.shape[1]} tokens ({type(error).__name__}: {said})",
            "Does it run by itself: model(input_ids=…, use_cache=False)?",
        ) from error
    finally:
        model.set_attn_implementation(NAME)
    return logits


def _watched(anatomy: Anatomy) -> list[Site]:
    shape = anatomy.shape
    sites = [Site(0, "resid_pre")]
    for layer in range(shape.layers):
        sites += [Site(layer, part) for part in ("attn", "mlp", "resid_post")]
    last = shape.layers - 1
    sites += [Site(last, "H", head, "z") for head in range(shape.heads)]
    return sites


def _sums(anatomy: Anatomy, whole: Pass, near: Any) -> Iterator[str]:
    """What layers add, add up; what heads write is the attention's output."""
    got = whole.values
    stream = got[Site(0, "resid_pre")]
    for layer in range(anatomy.shape.layers):
        added = got[Site(layer, "attn")].to(stream.device) + got[Site(layer, "mlp")].to(
            stream.device
        )
        stream = stream + added
        right = got[Site(layer, "resid_post")]
        if found := near(f"layer {layer} adds more than attention and MLP", stream, right):
            yield found
    last = anatomy.shape.layers - 1
    heads = range(anatomy.shape.heads)
    if not anatomy.architecture.attention_post_norm:
        outs = [got[Site(last, "H", h, "z")] @ anatomy.head_weight(last, h) for h in heads]
        bias: Any = anatomy.head_output(last).bias
        total = torch.stack(outs).sum(0) + (
            0 if bias is None else bias.detach() * anatomy.residual_scale
        )
        yield near("heads do not add up to their attention", total, got[Site(last, "attn")])
    yield from _norms(anatomy, whole, near)


def _norms(anatomy: Anatomy, whole: Pass, near: Any) -> Iterator[str]:
    norm: nn.Module = anatomy.final_norm
    stream = whole.stream.to(anatomy.device(anatomy.shape.layers)).float()
    centred, scale, gain = anatomy.norm_frame(norm, stream)
    bias = getattr(norm, "bias", None)
    framed = centred * scale * gain + (0 if bias is None else bias.detach())
    yield near(
        "its final norm is not of its architecture", framed.to(whole.normed.dtype), whole.normed
    )
