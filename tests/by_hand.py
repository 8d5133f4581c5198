"""A second route: a Llama's pass written out in float64, one document at a time, edited by address."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

Change = Callable[[str, Tensor], Tensor]
"""What stands at an address, from its name and the value that the model has there."""


def log_probs(model: Any, tokens: Tensor, change: Change = lambda site, value: value) -> Tensor:
    """Predictions after every token of one document, (position,) → (position, vocabulary)."""
    config, inner = model.config, model.model
    heads, key_heads = config.num_attention_heads, config.num_key_value_heads
    size = config.hidden_size // heads
    rotate = rotary(len(tokens), size, config.rope_parameters["rope_theta"])
    later = torch.ones(len(tokens), len(tokens), dtype=torch.bool).triu(1)

    def norm(x: Tensor, gain: Tensor) -> Tensor:
        return x / (x.square().mean(-1, keepdim=True) + config.rms_norm_eps).sqrt() * gain.double()

    def attend(at: str, module: Any, x: Tensor) -> Tensor:
        q, k, v = (
            x @ getattr(module, name).weight.double().T for name in ("q_proj", "k_proj", "v_proj")
        )
        total = torch.zeros_like(x)
        for head in range(heads):
            mine = slice(head * size, (head + 1) * size)
            group = head // (heads // key_heads)
            shared = slice(group * size, (group + 1) * size)
            name = f"{at}.H{head}"
            query = change(f"{name}.q", rotate(q[:, mine]))
            key = change(f"{name}.k", rotate(k[:, shared]))
            value = change(f"{name}.v", v[:, shared])
            scores = (query @ key.T / size**0.5).masked_fill(later, -torch.inf)
            z = change(f"{name}.pattern", scores.softmax(-1)) @ value
            z = change(name, change(f"{name}.z", z))
            total += change(f"{name}.out", z @ module.o_proj.weight.double()[:, mine].T)
        return total

    def feed(at: str, module: Any, x: Tensor) -> Tensor:
        gate, up, down = (
            getattr(module, name).weight.double() for name in ("gate_proj", "up_proj", "down_proj")
        )
        neurons = torch.nn.functional.silu(x @ gate.T) * (x @ up.T)
        columns = [change(f"{at}.N{i}", column) for i, column in enumerate(neurons.T)]
        return torch.stack(columns, -1) @ down.T

    with torch.no_grad():
        x = change("embed", inner.embed_tokens.weight.double()[tokens])
        for number, layer in enumerate(inner.layers):
            at = f"L{number}"
            x = change(f"{at}.resid_pre", x)
            added = attend(at, layer.self_attn, norm(x, layer.input_layernorm.weight))
            x = change(f"{at}.resid_mid", x + change(f"{at}.attn", added))
            added = feed(at, layer.mlp, norm(x, layer.post_attention_layernorm.weight))
            x = change(f"{at}.resid_post", x + change(f"{at}.mlp", added))
        x = change("final", norm(x, inner.norm.weight))
        return (x @ model.lm_head.weight.double().T).log_softmax(-1)


def rotary(length: int, size: int, base: float) -> Callable[[Tensor], Tensor]:
    """Rotary embedding of (position, size), the halves as pairs."""
    angles = torch.arange(length).double()[:, None] * base ** (
        -torch.arange(0, size, 2).double() / size
    )
    cos, sin = (torch.cat([one, one], -1) for one in (angles.cos(), angles.sin()))
    half = size // 2
    return lambda x: x * cos + torch.cat([-x[:, half:], x[:, :half]], -1) * sin


def loss(
    model: Any, documents: Sequence[np.ndarray], change: Callable[[str, Tensor, Tensor], Tensor]
) -> float:
    """Nats per predicted token; `change` is told the document's tokens too."""
    total = count = 0.0
    for row in documents:
        tokens = torch.from_numpy(row).long()
        said = log_probs(model, tokens, lambda site, value, t=tokens: change(site, value, t))
        total -= float(said[:-1].gather(1, tokens[1:, None]).sum())
        count += len(tokens) - 1
    return total / count


def values(model: Any, documents: Sequence[np.ndarray]) -> dict[str, list[Tensor]]:
    """What stands at every address, document by document."""
    found: dict[str, list[Tensor]] = {}

    def keep(site: str, value: Tensor) -> Tensor:
        found.setdefault(site, []).append(value)
        return value

    for row in documents:
        log_probs(model, torch.from_numpy(row).long(), keep)
    return found
