"""One attention function for every architecture, through transformers' AttentionInterface.

Without a tape it is Hugging Face's own SDPA call, bit for bit; where scores are soft-capped, which
that call leaves out, the plain attention of the model's own file. With a tape, the heads that the pass
asks about are computed again by hand from the same q, k and v (after rotary embedding).
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from unexplained.subject.precision import fused, fused_backward

NAME = "unexplained"

STAGES = {"q_pre": 0, "k_pre": 0, "q": 1, "k": 1, "v": 2, "pattern": 3, "z": 4, "out": 5}
"""Order in which a head's values come about; `v` and `pattern` do not depend on each other."""

_AFTER = {
    "q": ("q_pre", "pattern", "z"), "k": ("k_pre", "pattern", "z"),
    "v": ("z",), "pattern": ("z",), "z": (),
}  # fmt: skip
_TURNED = {"q_pre": "q", "k_pre": "k"}
"""What rotary embedding makes of a value."""


@dataclass(frozen=True)
class Rotary:
    """A layer's rotary embedding: entry i of a query or key is turned with entry i + half, by position."""

    cos: Tensor
    """(1, position, entries that are turned): the first ones of a head's."""
    sin: Tensor

    def on(self, value: Tensor) -> Tensor:
        """Turn a head's value (batch, position, size)."""
        return self._turned(value, self.cos, self.sin)

    def off(self, value: Tensor) -> Tensor:
        """Turn it back; where embeddings also stretch (YaRN), shrink it."""
        wide = torch.promote_types(self.cos.dtype, torch.float32)
        stretch = self.cos.to(wide) ** 2 + self.sin.to(wide) ** 2
        return self._turned(value, self.cos.to(wide) / stretch, -self.sin.to(wide) / stretch)

    @staticmethod
    def _turned(value: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        many, wide = cos.shape[-1], torch.promote_types(value.dtype, torch.float32)
        some = value[..., :many].to(wide)
        half = torch.cat([-some[..., many // 2 :], some[..., : many // 2]], -1)
        turned = some * cos.to(wide) + half * sin.to(wide)
        return torch.cat([turned.to(value.dtype), value[..., many:]], -1)


class Listener(Protocol):
    """What a running pass offers to the attention function."""

    rotary: Rotary | None
    """Of the layer that is running, where it has one."""

    def on_attention(self, layer: int, values: HeadValues, z: Tensor) -> Tensor:
        """See a layer's attention; returns z, edited or not."""


class Attender(Protocol):
    """What takes attention over instead of only listening to it."""

    def attend(
        self,
        layer: int,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None,
        scaling: float | None,
        softcap: float | None,
    ) -> Tensor:
        """Compute z (batch, position, head, size) from q (batch, head, …), k, v (batch, key head, …)."""


listener: ContextVar[Listener | None] = ContextVar("listener", default=None)
"""The pass that is running in this thread, if it wants to see attention."""

attender: ContextVar[Attender | None] = ContextVar("attender", default=None)
"""Who computes attention in this thread instead of Hugging Face: a pass that is differentiated."""


def pattern(
    query: Tensor,
    key: Tensor,
    mask: Tensor | None,
    scaling: float | None,
    softcap: float | None,
) -> Tensor:
    """Who attends where, (…, query, key), by hand.

    Args:
        query: (…, query, size).
        key: (…, key, size); queries are the last positions of these.
        mask: True where one may look, or what is added to scores; None: nobody looks ahead.
        scaling: Of scores; None: one over the root of the size.
        softcap: Scores are bent, c·tanh(score/c), so that none is above it (Gemma 2).
    """
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores = query @ key.transpose(-1, -2) * scale
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    if mask is None:
        mask = torch.ones(*scores.shape[-2:], dtype=torch.bool, device=scores.device)
        mask = mask.tril(key.shape[-2] - query.shape[-2])
    scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
    return scores.softmax(-1)


class HeadValues:
    """A layer's attention in one pass. Head values are computed when they are asked for.

    Setting a value forgets what depends on it, so the next question gets the consequence.
    """

    def __init__(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None,
        scaling: float | None,
        softcap: float | None,
        z: Tensor,
        rotary: Rotary | None = None,
    ) -> None:
        """Take q (batch, head, position, size), k and v (batch, key head, …), z (batch, position, head, size)."""
        self._query, self._key, self._value, self._mask, self._z = query, key, value, mask, z
        self._scaling, self._softcap, self._rotary = scaling, softcap, rotary
        self._group = query.shape[1] // key.shape[1]
        # Keys of a prefix that was run before; sites are about the positions that run now.
        self._before = key.shape[-2] - query.shape[-2]
        self._known: dict[tuple[int, str], Tensor] = {}
        self._changed: set[int] = set()

    def fork(self) -> HeadValues:
        """The same attention without the values set so far."""
        return self.rows(slice(None))

    def rows(self, rows: slice) -> HeadValues:
        """Some rows of the batch, without the values set so far."""
        mask = self._mask
        if mask is not None and mask.shape[0] > 1:
            mask = mask[rows]
        return HeadValues(
            self._query[rows],
            self._key[rows],
            self._value[rows],
            mask,
            self._scaling,
            self._softcap,
            self._z[rows],
            self._rotary,
        )

    def get(self, head: int, name: str) -> Tensor:
        """One of `q_pre` `k_pre` `q` `k` `v` `pattern` `z` of a query head."""
        if (head, name) not in self._known:
            self._known[head, name] = self._compute(head, name)
        return self._known[head, name]

    def set(self, head: int, name: str, new: Tensor) -> None:
        """Put a value in its place and forget the ones that follow from it; what is there already changes none."""
        if new is self._known.get((head, name)):
            return
        if name in _TURNED:
            self.set(head, _TURNED[name], new if self._rotary is None else self._rotary.on(new))
        else:
            self._changed.add(head)
            for later in _AFTER[name]:
                self._known.pop((head, later), None)
        self._known[head, name] = new

    @property
    def changed(self) -> tuple[int, ...]:
        """The heads of which some value was set."""
        return tuple(sorted(self._changed))

    def _compute(self, head: int, name: str) -> Tensor:
        if name in _TURNED:
            turned = self.get(head, _TURNED[name])
            return turned if self._rotary is None else self._rotary.off(turned)
        if name == "q":
            return self._query[:, head]
        if name == "k":
            return self._key[:, head // self._group, self._before :]
        if name == "v":
            return self._value[:, head // self._group, self._before :]
        if name == "pattern":
            return self._pattern(head)
        if head not in self._changed:
            return self._z[:, :, head]
        return self.get(head, "pattern") @ self._whole(self._value, head, "v")

    def _whole(self, stored: Tensor, head: int, name: str) -> Tensor:
        """Keys or values of all positions, those of a prefix first."""
        own = self.get(head, name)
        if not self._before:
            return own
        return torch.cat([stored[:, head // self._group, : self._before], own], dim=-2)

    def _pattern(self, head: int) -> Tensor:
        keys = self._whole(self._key, head, "k")
        mask = self._mask
        if mask is not None:
            mask = mask[:, 0 if mask.shape[1] == 1 else head]
        return pattern(self.get(head, "q"), keys, mask, self._scaling, self._softcap)


def capped(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    scaling: float | None,
    softcap: float,
) -> Tensor:
    """Attention whose scores are soft-capped, which fused attention does not know: (batch, head, …)."""
    group = query.shape[1] // key.shape[1]
    keys, values = (part.repeat_interleave(group, 1) for part in (key, value))
    return pattern(query, keys, mask, scaling, softcap) @ values


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    computing = attender.get()
    softcap = kwargs.get("softcap")
    if computing is not None:
        layer = int(module.layer_idx)  # type: ignore[arg-type]
        return computing.attend(layer, query, key, value, attention_mask, scaling, softcap), None
    if softcap is not None:
        z = capped(query, key, value, attention_mask, scaling, softcap).transpose(1, 2)
    else:
        with fused():
            z, _ = sdpa_attention_forward(
                module, query, key, value, attention_mask, scaling=scaling, **kwargs
            )
        if z.requires_grad:
            z = fused_backward(z)
    running = listener.get()
    if running is not None:
        rotary = running.rotary if getattr(module, "use_rope", True) else None
        values = HeadValues(query, key, value, attention_mask, scaling, softcap, z, rotary)
        z = running.on_attention(int(module.layer_idx), values, z)  # type: ignore[arg-type]
    return z, None


AttentionInterface.register(NAME, _attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
