"""What may be changed of attention while a model is trained, to see what then emerges, and when.

Coincidence in time is no cause: a head is held back, or what it does is given for nothing, and the
rest is trained as before (Olsson and others 2022; Singh and others 2024).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn

from unexplained.errors import SubjectError, near_matches

NAME = "unexplained, in training"

PATTERNS: ContextVar[list[Tensor] | None] = ContextVar("patterns", default=None)
"""Where the patterns of a pass go, layer by layer, if somebody watches."""


@contextmanager
def watched() -> Iterator[list[Tensor]]:
    """Gather the patterns, (batch, head, query, key), of the passes inside, in the order of layers."""
    found: list[Tensor] = []
    token = PATTERNS.set(found)
    try:
        yield found
    finally:
        PATTERNS.reset(token)


def _smeared_keys(model: Any) -> None:
    """Every key is mixed with the key before it, in shares that each head learns, from halves on.

    So a head sees at a position which token stood before it, and needs no other head to say so
    (Olsson and others 2022, "smeared key"). Keys are mixed after rotary embedding.
    """
    for layer in model.model.layers:
        heads = model.config.num_attention_heads
        layer.self_attn.smear = nn.Parameter(torch.zeros(heads))


def _no_previous_token(model: Any) -> None:
    """No head of the first layer may attend to the position before: no previous-token head there."""
    model.model.layers[0].self_attn.unseen = 1


def _own_position_only(model: Any) -> None:
    """Heads of the first layer attend to their own position alone: no token is moved before the last layer."""
    model.model.layers[0].self_attn.own_only = True


INTERVENTIONS: dict[str, Callable[[Any], None]] = {
    "smeared keys": _smeared_keys,
    "no previous token": _no_previous_token,
    "own position only": _own_position_only,
}


def intervene(model: Any, name: str) -> None:
    """Change a new model's attention; "" for none.

    Raises:
        SubjectError: There is no such intervention.
    """
    if not name:
        return
    if name not in INTERVENTIONS:
        raise SubjectError(
            f"The intervention '{name}' in training", "there is none", near_matches(name, INTERVENTIONS)
        )  # fmt: skip
    watch(model)
    INTERVENTIONS[name](model)


def watch(model: Any) -> None:
    """Have attention computed here, so that its patterns can be seen (`watched`)."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(NAME, _attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Causal attention of whole rows, (batch, head, position, size) to (batch, position, head, size)."""
    smear = getattr(module, "smear", None)
    if smear is not None:
        share = torch.sigmoid(smear)[:, None, None]
        # The first position has nothing before it.
        before = torch.cat([key[:, :, :1], key[:, :, :-1]], dim=2)
        key = share * key + (1 - share) * before
    length = query.shape[2]
    seen = torch.ones(length, length, dtype=torch.bool, device=query.device).tril()
    if (back := getattr(module, "unseen", 0)) > 0:
        seen &= ~torch.ones_like(seen).tril(-back).triu(-back)
    if getattr(module, "own_only", False):
        seen &= torch.eye(length, dtype=torch.bool, device=query.device)
    if PATTERNS.get() is None:
        z = nn.functional.scaled_dot_product_attention(query, key, value, seen, scale=scaling)
        return z.transpose(1, 2), None
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores = (query @ key.transpose(-1, -2) * scale).masked_fill(~seen, -torch.inf)
    pattern = scores.softmax(-1)
    PATTERNS.get().append(pattern.detach())  # type: ignore[union-attr]
    return (pattern @ value).transpose(1, 2), None
