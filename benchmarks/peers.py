"""Mean-ablate one head of a Hugging Face model the way each tool's users would, in full passes.

Every tool is a function from (model, tokenizer, tokens) to `ablate(layer, head, mean) -> loss of
every document`. The loss is the same few lines for all of them, on the logits that the tool gives.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

Ablate = Callable[[int, int, Tensor], Tensor]


def losses(logits: Tensor, tokens: Tensor) -> Tensor:
    """Summed next-token loss of every document, (documents,), in the logits' own type."""
    flat = torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten(), reduction="none"
    )
    return flat.view(tokens.shape[0], -1).sum(-1)


def hooks(model: Any, tokenizer: Any, folder: Path, tokens: Tensor, exact: bool = False) -> Ablate:
    """Plain PyTorch: a forward pre-hook on the output matrix; losses in float64 if `exact`."""
    size = model.config.head_dim

    def ablate(layer: int, head: int, mean: Tensor) -> Tensor:
        def fill(module: object, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            z = args[0].clone()
            z[..., head * size : (head + 1) * size] = mean
            return (z,)

        handle = model.model.layers[layer].self_attn.o_proj.register_forward_pre_hook(fill)
        try:
            with torch.no_grad():
                logits = model(tokens, use_cache=False).logits
                return losses(logits.double() if exact else logits, tokens)
        finally:
            handle.remove()

    return ablate


def transformer_lens(model: Any, tokenizer: Any, folder: Path, tokens: Tensor) -> Ablate:
    """TransformerLens 4's bridge: `run_with_hooks` on `hook_z`."""
    from transformer_lens.model_bridge import TransformerBridge

    bridge = TransformerBridge.boot_transformers(str(folder), hf_model=model, tokenizer=tokenizer)
    size = model.config.head_dim

    def ablate(layer: int, head: int, mean: Tensor) -> Tensor:
        def fill(z: Tensor, hook: object) -> Tensor:
            z = z.clone()
            if z.dim() == 4:
                z[:, :, head] = mean
            else:
                z[..., head * size : (head + 1) * size] = mean
            return z

        with torch.no_grad():
            logits = bridge.run_with_hooks(
                tokens, return_type="logits", fwd_hooks=[(f"blocks.{layer}.attn.hook_z", fill)]
            )
        return losses(logits, tokens)

    return ablate


def nnsight(model: Any, tokenizer: Any, folder: Path, tokens: Tensor) -> Ablate:
    """nnsight: assign to a slice of the output matrix's input inside a trace."""
    from nnsight import NNsight

    wrapped = NNsight(model)
    size = model.config.head_dim

    def ablate(layer: int, head: int, mean: Tensor) -> Tensor:
        part = slice(head * size, (head + 1) * size)
        with torch.no_grad(), wrapped.trace(tokens, use_cache=False):
            wrapped.model.layers[layer].self_attn.o_proj.input[..., part] = mean
            logits = wrapped.lm_head.output.save()
        return losses(logits, tokens)

    return ablate


PEERS = {
    "plain hooks": hooks,
    "TransformerLens 4.3.0": transformer_lens,
    "nnsight 0.8.1": nnsight,
}
