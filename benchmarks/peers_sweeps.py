"""The peers' side of `sweeps.py`: each tool the way its users would, with what its API offers.

W1 (ablate) and W2 (patch) are whole forward passes, one head each. In W2 a tool computes the last
position's logits only where it can be told to; the corrupted prompts' z are found beforehand and
not timed. `skip` rows use nnsight's own way of not running what lies before the edit: the
layers up to the edited one are skipped to a stream that was read beforehand; `invokes` rows its way
of several edits side by side, all heads in one pass.

`same products` rows are plain hooks under the engine's matrix-product setting: what of a difference
is arithmetic that is not done, and what is a faster kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

import plain_eap
from common import Tool, Work
from peers import PEERS, losses
from peers_reads import (
    DIAGNOSTIC,
    HOOKS,
    INVOKES,
    LENS,
    NNSIGHT,
    PYVENE,
    SAME,
    SCHEME,
    SKIP,
    bridged,
    intervenable,
    read_by_hooks,
)

Patch = Callable[[int, int], Tensor]
"""From a layer and a head to the last position's logits (pair, vocabulary)."""


def _put(z: Tensor, head: int, size: int, value: Tensor) -> Tensor:
    """A copy of all heads' z, (..., heads x size) or (..., heads, size), with one replaced."""
    z = z.clone()
    if z.dim() == 4:
        z[:, :, head] = value
    else:
        z[..., head * size : (head + 1) * size] = value
    return z


def _corrupted_z(work: Work, model: Any) -> list[Tensor]:
    """Every layer's z on the corrupted prompts, (pair, position, heads x size)."""
    return [z for _, z in read_by_hooks(model.model, work.corrupted)]


# --- W1: mean-ablate heads, loss ------------------------------------------------------------------


def ablate(name: str) -> Callable[[Work], Tool]:
    """A tool of W1: losses (head, document), summed over each document's predicted tokens."""

    def make(work: Work) -> Tool:
        model = work.model()
        if name in PEERS:
            one = PEERS[name](model, work.subject.tokenizer, work.folder, work.tokens)
        elif name == SAME:
            one = PEERS[HOOKS](model, work.subject.tokenizer, work.folder, work.tokens)
        else:
            one = {PYVENE: ablate_pyvene, SKIP: ablate_skipping}[name](work, model)
        setting = work.subject.precision.applied if name == SAME else nullcontext

        def run() -> Tensor:
            with setting():
                return torch.stack([one(*head, work.means[head]) for head in work.heads])

        with setting():
            one(*work.heads[0], work.means[work.heads[0]])
        return Tool(run)

    return make


def ablate_pyvene(work: Work, model: Any) -> Callable[[int, int, Tensor], Tensor]:
    """Head component of pyvene: a swap with a constant source at the output matrix's input."""
    import pyvene

    def one(layer: int, head: int, mean: Tensor) -> Tensor:
        config = {
            "layer": layer,
            "component": "head_attention_value_output",
            "unit": "h",
            "max_number_of_units": 1,
            "intervention_type": pyvene.VanillaIntervention,
            "source_representation": mean,
        }
        wrapped = intervenable(config, model)
        with torch.no_grad():
            base = {"input_ids": work.tokens, "use_cache": False}
            _, found = wrapped(base, unit_locations={"base": head})
        return losses(found.logits, work.tokens)

    return one


def ablate_skipping(work: Work, model: Any) -> Callable[[int, int, Tensor], Tensor]:
    """nnsight, the layers before the edited one skipped: their output is known."""
    from nnsight import NNsight

    wrapped = NNsight(model)
    streams = [stream for stream, _ in read_by_hooks(model.model, work.tokens)]
    size = model.config.head_dim

    def one(layer: int, head: int, mean: Tensor) -> Tensor:
        part = slice(head * size, (head + 1) * size)
        with torch.no_grad(), wrapped.trace(work.tokens, use_cache=False):
            for number in range(layer):
                wrapped.model.layers[number].skip(streams[layer])
            wrapped.model.layers[layer].self_attn.o_proj.input[..., part] = mean
            logits = wrapped.lm_head.output.save()
        return losses(logits, work.tokens)

    return one


def ablate_exact(work: Work) -> list[Tensor]:
    """Plain hooks on a float64 model."""
    model = work.model(torch.float64)
    one = PEERS[HOOKS](model, work.subject.tokenizer, work.folder, work.tokens)
    return [torch.stack([one(*head, work.means[head].double()) for head in work.heads])]


# --- W2: patch heads from the corrupted prompts, logit difference ---------------------------------


def patch(name: str) -> Callable[[Work], Tool]:
    """A tool of W2: logit differences (head, pair)."""

    def make(work: Work) -> Tool:
        model = work.model()
        if name == INVOKES:
            return patch_invokes(work, model)
        one = _PATCHES[name](work, model)
        setting = work.subject.precision.applied if name == SAME else nullcontext

        def run() -> Tensor:
            with setting():
                return torch.stack([work.logit_differences(one(*head)) for head in work.heads])

        with setting():
            one(*work.heads[0])
        return Tool(run)

    return make


def patch_hooks(work: Work, model: Any) -> Patch:
    """Plain PyTorch: a pre-hook on the output matrix, one row of logits for each pair."""
    zs, size = _corrupted_z(work, model), model.config.head_dim

    def one(layer: int, head: int) -> Tensor:
        donor = zs[layer][..., head * size : (head + 1) * size]

        def fill(module: object, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return (_put(args[0], head, size, donor),)

        handle = model.model.layers[layer].self_attn.o_proj.register_forward_pre_hook(fill)
        try:
            with torch.no_grad():
                logits: Tensor = model(work.clean, use_cache=False, logits_to_keep=1).logits
                return logits[:, -1]
        finally:
            handle.remove()

    return one


def patch_lens(work: Work, model: Any) -> Patch:
    """TransformerLens 4's bridge: `run_with_hooks`, keywords of the model's forward passed on."""
    zs, size = _corrupted_z(work, model), model.config.head_dim
    bridge = bridged(work, model)

    def one(layer: int, head: int) -> Tensor:
        donor = zs[layer][..., head * size : (head + 1) * size]

        def fill(z: Tensor, hook: object) -> Tensor:
            return _put(z, head, size, donor)

        with torch.no_grad():
            logits: Tensor = bridge.run_with_hooks(
                work.clean,
                return_type="logits",
                fwd_hooks=[(f"blocks.{layer}.attn.hook_z", fill)],
                logits_to_keep=1,
            )
        return logits[:, -1]

    return one


def patch_nnsight(work: Work, model: Any, skip: bool = False) -> Patch:
    """nnsight: assign to a slice inside a trace, with or without the layers before it."""
    from nnsight import NNsight

    zs, size = _corrupted_z(work, model), model.config.head_dim
    streams = [stream for stream, _ in read_by_hooks(model.model, work.clean)]
    wrapped = NNsight(model)

    def one(layer: int, head: int) -> Tensor:
        part = slice(head * size, (head + 1) * size)
        donor = zs[layer][..., part]
        with torch.no_grad(), wrapped.trace(work.clean, use_cache=False, logits_to_keep=1):
            for number in range(layer if skip else 0):
                wrapped.model.layers[number].skip(streams[layer])
            wrapped.model.layers[layer].self_attn.o_proj.input[..., part] = donor
            logits = wrapped.lm_head.output.save()
        return logits[:, -1]

    return one


def patch_skipping(work: Work, model: Any) -> Patch:
    """The same with the layers before the edited one skipped."""
    return patch_nnsight(work, model, skip=True)


def patch_invokes(work: Work, model: Any) -> Tool:
    """Several heads side by side in one pass, as invokes of one trace; on a GPU all of them."""
    from nnsight import TransformersModel

    zs, size = _corrupted_z(work, model), model.config.head_dim
    wrapped = TransformersModel(model, tokenizer=work.subject.tokenizer)

    def passed(heads: list[tuple[int, int]]) -> list[Tensor]:
        found = []
        with torch.no_grad(), wrapped.trace(use_cache=False, logits_to_keep=1) as tracer:
            for layer, head in heads:
                with tracer.invoke(work.clean):
                    part = slice(head * size, (head + 1) * size)
                    place = wrapped.model.layers[layer].self_attn.o_proj
                    place.input[..., part] = zs[layer][..., part]
                    found.append(wrapped.lm_head.output.save())
        return [logits[:, -1] for logits in found]

    heads = work.heads if work.device.type == "cpu" else work.all_heads

    def run() -> Tensor:
        return torch.stack([work.logit_differences(logits) for logits in passed(heads)])

    passed(heads[:1])
    every = heads is work.all_heads
    return Tool(run, work.subset if every else lambda found: [found], len(heads))


def patch_pyvene(work: Work, model: Any) -> Patch:
    """Head component of pyvene; sources given as values, so that no second pass is run."""
    import pyvene

    size = model.config.head_dim
    zs = [z.unflatten(-1, (-1, size)).transpose(1, 2) for z in _corrupted_z(work, model)]

    def one(layer: int, head: int) -> Tensor:
        config = {
            "layer": layer,
            "component": "head_attention_value_output",
            "unit": "h",
            "max_number_of_units": 1,
            "intervention_type": pyvene.VanillaIntervention,
        }
        wrapped = intervenable(config, model)
        with torch.no_grad():
            _, found = wrapped(
                {"input_ids": work.clean, "use_cache": False, "logits_to_keep": 1},
                source_representations={wrapped.sorted_keys[0]: zs[layer][:, [head]]},
                unit_locations={"sources->base": (head, head)},
            )
        logits: Tensor = found.logits
        return logits[:, -1]

    return one


_PATCHES: dict[str, Callable[[Work, Any], Patch]] = {
    HOOKS: patch_hooks,
    LENS: patch_lens,
    NNSIGHT: patch_nnsight,
    SKIP: patch_skipping,
    PYVENE: patch_pyvene,
    SAME: patch_hooks,
}


def patch_exact(work: Work) -> list[Tensor]:
    """Plain hooks on a float64 model."""
    one = patch_hooks(work, work.model(torch.float64))
    return [torch.stack([work.logit_differences(one(*head)) for head in work.heads])]


# --- W3: edges ------------------------------------------------------------------------------------


def attribute(name: str, steps: int) -> Callable[[Work], Tool]:
    """A tool of W3: scores (source, destination), in `plain_eap`'s order."""

    def make(work: Work) -> Tool:
        model = work.model().requires_grad_(False)
        method = plain_eap.scheme if name.startswith(SCHEME) else plain_eap.plain
        setting = work.subject.precision.applied if name in DIAGNOSTIC else nullcontext

        def metric(logits: Tensor) -> Tensor:
            return work.logit_differences(logits).sum()

        def run() -> Tensor:
            with setting():
                return method(model, work.clean, work.corrupted, metric, steps)

        with torch.no_grad():
            model(work.clean, use_cache=False, logits_to_keep=1)
        return Tool(run)

    return make


def attribute_exact(work: Work, steps: int) -> list[Tensor]:
    """Plain autograd in float64."""
    model = work.model(torch.float64).requires_grad_(False)

    def metric(logits: Tensor) -> Tensor:
        return work.logit_differences(logits).sum()

    return [plain_eap.plain(model, work.clean, work.corrupted, metric, steps)]


ABLATES = (HOOKS, LENS, NNSIGHT, SKIP, PYVENE, SAME)
PATCHES = (HOOKS, LENS, NNSIGHT, SKIP, INVOKES, PYVENE, SAME)
