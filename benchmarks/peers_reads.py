"""The peers' names, how they are set up, and W4 of `sweeps.py`: reading streams and z.

A tool that can run the stack without the unembedding does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from common import Tool, Work
from peers import PEERS

SAME = "plain hooks, same products"
HOOKS, LENS, NNSIGHT = PEERS
SKIP, INVOKES = f"{NNSIGHT}, skipping", f"{NNSIGHT}, invokes"
PYVENE = "pyvene 0.1.8"
AUTOGRAD, SCHEME = "plain autograd", "EAP-IG's order of work, written anew"
DIAGNOSTIC = (SAME, f"{AUTOGRAD}, same products", f"{SCHEME}, same products")
"""Rows that no user of a peer would get without knowing about the setting."""


def bridged(work: Work, model: Any) -> Any:
    from transformer_lens.model_bridge import TransformerBridge

    return TransformerBridge.boot_transformers(
        str(work.folder), hf_model=model, tokenizer=work.subject.tokenizer
    )


def intervenable(config: Any, model: Any) -> Any:
    import pyvene

    logging.getLogger().setLevel(logging.ERROR)  # it warns on the root logger at every config
    return pyvene.IntervenableModel(config, model)


def read_by_hooks(body: Any, tokens: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The stream before every layer, and its z, by hooks on the stack without the unembedding."""
    streams: list[Tensor] = []
    zs: list[Tensor] = []

    def before(module: object, args: tuple[Tensor, ...]) -> None:
        streams.append(args[0])

    def inside(module: object, args: tuple[Tensor, ...]) -> None:
        zs.append(args[0])

    handles = [layer.register_forward_pre_hook(before) for layer in body.layers]
    handles += [layer.self_attn.o_proj.register_forward_pre_hook(inside) for layer in body.layers]
    try:
        with torch.no_grad():
            body(tokens, use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    return list(zip(streams, zs, strict=True))


# --- W4: read every residual stream and every head's z --------------------------------------------


def read(name: str) -> Callable[[Work], Tool]:
    """A tool of W4; tidied: all layers' streams, then all layers' z (document, position, width)."""

    def make(work: Work) -> Tool:
        model = work.model()
        tool = _READS[name](work, model)
        setting = work.subject.precision.applied if name == SAME else nullcontext

        def run() -> Any:
            with setting():
                return tool.run()

        with torch.no_grad(), setting():
            model.model(work.tokens[:1], use_cache=False)
        return Tool(run, tool.tidy)

    return make


def read_hooks(work: Work, model: Any) -> Tool:
    """Plain PyTorch."""

    def tidy(found: list[tuple[Tensor, Tensor]]) -> list[Tensor]:
        return [stream for stream, _ in found] + [z for _, z in found]

    return Tool(lambda: read_by_hooks(model.model, work.tokens), tidy)


def read_lens(work: Work, model: Any) -> Tool:
    """`run_with_cache` with a filter of names; one row of logits, as it has no way to none."""
    bridge = bridged(work, model)
    layers = range(work.subject.shape.layers)
    streams = [f"blocks.{layer}.hook_resid_pre" for layer in layers]
    zs = [f"blocks.{layer}.attn.hook_z" for layer in layers]

    def run() -> Any:
        with torch.no_grad():
            return bridge.run_with_cache(
                work.tokens, names_filter=[*streams, *zs], logits_to_keep=1
            )[1]

    return Tool(run, lambda cache: [cache[s] for s in streams] + [cache[z].flatten(2) for z in zs])


def read_nnsight(work: Work, model: Any) -> Tool:
    """Save inputs inside a trace of the stack without the unembedding."""
    from nnsight import NNsight, save

    wrapped = NNsight(model.model)

    def run() -> list[Tensor]:
        with torch.no_grad(), wrapped.trace(work.tokens, use_cache=False):
            streams, zs = save([]), save([])
            for layer in wrapped.layers:
                streams.append(layer.input)
                zs.append(layer.self_attn.o_proj.input)
        return [*streams, *zs]

    return Tool(run, lambda found: found)


def read_pyvene(work: Work, model: Any) -> Tool:
    """Collect interventions on the stack without the unembedding, places given as module names.

    Its named components (`block_input`, `attention_value_output`) with no unit locations fail in
    `b_sd_to_bsd` outside batches that divide evenly, so they are not used.
    """
    import pyvene

    layers = range(work.subject.shape.layers)
    names = [f"layers[{i}].input" for i in layers]
    names += [f"layers[{i}].self_attn.o_proj.input" for i in layers]
    places = [{"component": n, "intervention_type": pyvene.CollectIntervention} for n in names]
    wrapped = intervenable(places, model.model)

    def run() -> list[Tensor]:
        with torch.no_grad():
            (_, found), _ = wrapped({"input_ids": work.tokens, "use_cache": False})
        return list(found)

    return Tool(run, lambda found: found)


_READS: dict[str, Callable[[Work, Any], Tool]] = {
    HOOKS: read_hooks,
    LENS: read_lens,
    NNSIGHT: read_nnsight,
    PYVENE: read_pyvene,
    SAME: read_hooks,
}


def read_exact(work: Work) -> list[Tensor]:
    """Plain hooks on a float64 model."""
    tool = read_hooks(work, work.model(torch.float64))
    return tool.tidy(tool.run())


READS = tuple(_READS)
