"""Passes that can be differentiated, layer by layer.

Every layer is recorded on a tape of its own, from a cut in the stream before it. Going back
through the tapes from the last to the first gives the gradient at every part of the model, and
what is held at once is up to the caller: all tapes of a pass (fastest), or one, recorded again
from a kept stream when its turn comes. Gradients are those of inputs; weights have none.

Attention is computed here with every shared key and value repeated for each query head that
reads it, so that there is a gradient for the key as one query head alone sees it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from unexplained.subject.anatomy import Anatomy
from unexplained.subject.attention import HeadValues, attender, capped
from unexplained.subject.edits import Batch
from unexplained.subject.passing import own_hook, passing
from unexplained.subject.placed import by_position, first_of, for_any_batch
from unexplained.subject.precision import fused, fused_backward
from unexplained.subject.prefix import Prefix
from unexplained.subject.run import Resume

PartName = Literal[
    "stream", "q projected", "k projected", "q", "key", "k", "v", "z", "out", "attn", "mid",
    "mlp normed", "neurons", "mlp", "post",
]  # fmt: skip
"""What is on a tape, in the order of the pass. B rows, S positions:

| part | what | shape |
|---|---|---|
| `stream` | before the layer: where the tape begins | B, S, width |
| `q projected` `k projected` | outputs of the projections (one tensor if fused) | B, S, … |
| `q` `k` `v` | as each query head sees them, after rotary embedding | B, head, S, size |
| `key` | the shared keys after rotary embedding | B, key head, S, size |
| `z` | attention-weighted values | B, S, head, size |
| `out` | the sum of the heads' outputs, before a post-norm | B, S, width |
| `attn` `mlp` | what is added to the stream | B, S, width |
| `mid` | what the MLP's norm reads: the stream itself where attention and MLP run side by side | B, S, width |
| `mlp normed` | what the MLP reads | B, S, width |
| `neurons` | the inputs of the MLP's last layer | B, S, neurons |
| `post` | the stream after the layer | B, S, width |
"""


@dataclass(frozen=True)
class Tape:
    """One layer's recorded forward pass."""

    layer: int
    parts: dict[PartName, Tensor]
    """As the layer has them, see `value`."""
    scale: float
    """The model's `residual_scale`."""
    heads: HeadValues
    """The attention as it was, without a tape: what would happen to z if a query changed."""

    def back(
        self, gradient: Tensor, wanted: Sequence[PartName], *, keep: bool = False
    ) -> dict[PartName, Tensor]:
        """Carry the gradient at `post` (batch, position, width) to some parts.

        Args:
            gradient: The gradient of some number with respect to the stream after the layer.
            wanted: At which parts it is wanted.
            keep: Keep the tape for another time; it can be read once otherwise.
        """
        return self._carry("post", gradient, wanted, keep)

    def carry(self, part: PartName, gradient: Tensor, to: PartName) -> Tensor:
        """Carry a gradient at a part to an earlier part of the layer; the tape is kept."""
        return self._carry(part, gradient, [to], True)[to]

    def value(self, name: PartName) -> Tensor:
        """A part by position, and in the units in which it is added to the stream."""
        return self._times(self.parts[name].detach(), self._unit(name))

    def _carry(
        self, part: PartName, gradient: Tensor, wanted: Sequence[PartName], keep: bool
    ) -> dict[PartName, Tensor]:
        end, inputs = self.parts[part], [self.parts[name] for name in wanted]
        at_end = self._times(gradient, self._unit(part)).reshape(end.shape)
        found = torch.autograd.grad(end, inputs, at_end, retain_graph=keep, allow_unused=True)
        return {
            name: self._times(torch.zeros_like(raw) if one is None else one, 1 / self._unit(name))
            for name, raw, one in zip(wanted, inputs, found, strict=True)
        }

    def _times(self, value: Tensor, factor: float) -> Tensor:
        value = by_position(value, self.parts["stream"])
        return value if factor == 1 else value * factor

    def _unit(self, name: PartName) -> float:
        return self.scale if name in ("out", "attn", "mlp") else 1.0


@dataclass(frozen=True)
class Recording:
    """A recorded pass: tapes of its layers from some layer on, and what comes after them."""

    tapes: tuple[Tape, ...]
    stream: Tensor
    """After the last layer, (batch, position, width)."""
    normed: Tensor
    """The final norm's output."""

    def back(self, gradient: Tensor) -> Tensor:
        """Carry a gradient at the final norm's output to its input; once."""
        (found,) = torch.autograd.grad(self.normed, self.stream, gradient)
        return found


def record(
    anatomy: Anatomy,
    start: Batch | Resume,
    *,
    prefix: Prefix | None = None,
    points: Callable[[Tensor], Tensor] = lambda embedded: embedded,
    added: Mapping[int, Tensor] | None = None,
) -> Recording:
    """Run a pass and record every layer that runs.

    Args:
        anatomy: The model.
        start: Tokens, or a kept stream with any number of rows.
        prefix: What comes before a batch's first column; a `Resume` carries its own.
        points: What layer 0 reads in the place of the embedded batch (rows, position, width):
            as many rows again as one likes.
        added: Layer → what is added to its attention output, (rows, position, width).
    """
    anatomy.require_one_device("A gradient")
    with _recording(anatomy, added or {}, points) as recorder:
        if isinstance(start, Batch):
            anatomy.require_positions(start.start + start.tokens.shape[1])
            anatomy.require_tokens(start.tokens)
            before = None if prefix is None else prefix.cache
            anatomy.body(input_ids=start.tokens, past_key_values=before, use_cache=False)
        else:
            stream = start.stream
            for layer in range(start.layer, len(anatomy.layers)):
                stream = _step(anatomy, layer, stream, start)
            anatomy.final_norm(stream)
    return Recording(tuple(recorder.tapes.values()), recorder.stream, recorder.normed)


def record_layer(anatomy: Anatomy, start: Resume) -> Tape:
    """Record one layer, from the stream before it."""
    with _recording(anatomy, {}) as recorder:
        _step(anatomy, start.layer, start.stream, start)
    return recorder.tapes[start.layer]


def _step(anatomy: Anatomy, layer: int, stream: Tensor, start: Resume) -> Tensor:
    args, kwargs = start.arguments[layer]
    return first_of(anatomy.layers[layer](stream, *args, **kwargs))


@dataclass
class _Recorder:
    """Puts the parts of the layers that run on tapes."""

    anatomy: Anatomy
    added: Mapping[int, Tensor]
    points: Callable[[Tensor], Tensor]
    tapes: dict[int, Tape] = field(default_factory=dict)
    stream: Tensor = field(default_factory=lambda: torch.empty(0))
    normed: Tensor = field(default_factory=lambda: torch.empty(0))
    _open: dict[PartName, Tensor] = field(default_factory=dict)
    _heads: HeadValues | None = None

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
        """Attention with keys and values of its own for every query head."""
        length = query.shape[-2]
        before = key.shape[-2] - length
        group = query.shape[1] // key.shape[1]
        own = key[:, :, before:]
        mine = {"k": own, "v": value[:, :, before:]}
        mine = {name: part.repeat_interleave(group, 1) for name, part in mine.items()}
        whole = mine
        if before:
            earlier = {"k": key[:, :, :before].detach(), "v": value[:, :, :before].detach()}
            whole = {
                name: torch.cat([part.repeat_interleave(group, 1), mine[name]], -2)
                for name, part in earlier.items()
            }
            if mask is None:
                mask = torch.ones(length, before + length, dtype=torch.bool, device=query.device)
                mask = mask.tril(before)[None, None]
        if softcap is not None:
            attended = capped(query, whole["k"], whole["v"], mask, scaling, softcap)
        else:
            with fused():
                attended = nn.functional.scaled_dot_product_attention(
                    query, whole["k"], whole["v"], mask, is_causal=mask is None, scale=scaling
                )
            attended = fused_backward(attended)
        z = attended.transpose(1, 2)
        self._open |= {"q": query, "key": own, "k": mine["k"], "v": mine["v"], "z": z}
        self._heads = HeadValues(
            query.detach(), key.detach(), value.detach(), mask, scaling, softcap, z.detach()
        )
        return z

    @contextmanager
    def hooked(self) -> Iterator[None]:
        """Hooks on everything that goes on a tape, gone again afterwards."""
        handles = [
            handle for layer in range(len(self.anatomy.layers)) for handle in self._on(layer)
        ]
        norm = self.anatomy.final_norm
        handles.append(norm.register_forward_pre_hook(own_hook(self, self._before_norm)))
        handles.append(norm.register_forward_hook(own_hook(self, self._after_norm)))
        try:
            with passing(self):
                yield
        finally:
            for handle in handles:
                handle.remove()

    def _on(self, layer: int) -> Iterator[Any]:
        anatomy = self.anatomy
        module = anatomy.layers[layer]
        yield module.register_forward_pre_hook(own_hook(self, self._begin(layer)), with_kwargs=True)
        yield anatomy.projection(layer, "q").register_forward_hook(
            own_hook(self, self._after("q projected"))
        )
        yield anatomy.projection(layer, "k").register_forward_hook(
            own_hook(self, self._after("k projected"))
        )
        yield anatomy.head_output(layer).register_forward_hook(own_hook(self, self._after("out")))
        yield anatomy.attention_end(layer).register_forward_hook(
            own_hook(self, self._attention_end(layer))
        )
        yield anatomy.mlp_reader(layer).register_forward_pre_hook(
            own_hook(self, self._before("mid"))
        )
        if anatomy.architecture.mlp_norm:
            yield anatomy.mlp_norm(layer).register_forward_hook(
                own_hook(self, self._after("mlp normed"))
            )
        if anatomy.architecture.neuron_output:
            yield anatomy.neuron_output(layer).register_forward_pre_hook(
                own_hook(self, self._before("neurons"))
            )
        yield anatomy.mlp_end(layer).register_forward_hook(own_hook(self, self._after("mlp")))
        yield module.register_forward_hook(own_hook(self, self._end(layer)))

    def _begin(self, layer: int) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            stream = self.points(args[0].detach()) if layer == 0 else args[0].detach()
            leaf = stream.requires_grad_()
            self._open = {"stream": leaf}
            others, named = for_any_batch(args, kwargs)
            return (leaf, *others), named

        return hook

    def _before(self, name: PartName) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...]) -> None:
            self._open[name] = args[0]

        return hook

    def _after(self, name: PartName) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            self._open[name] = first_of(output)

        return hook

    def _attention_end(self, layer: int) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
            attn = first_of(output)
            if layer in self.added:
                attn = attn + self.added[layer] / self.anatomy.residual_scale
            self._open["attn"] = attn
            return (attn, *output[1:]) if isinstance(output, tuple) else attn

        return hook

    def _end(self, layer: int) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            assert self._heads is not None
            parts: dict[PartName, Tensor] = {**self._open, "post": first_of(output)}
            self.tapes[layer] = Tape(layer, parts, self.anatomy.residual_scale, self._heads)

        return hook

    def _before_norm(self, module: nn.Module, args: tuple[Any, ...]) -> Any:
        self.stream = args[0].detach().requires_grad_()
        return (self.stream,)

    def _after_norm(self, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        self.normed = output


@contextmanager
def _recording(
    anatomy: Anatomy,
    added: Mapping[int, Tensor],
    points: Callable[[Tensor], Tensor] = lambda embedded: embedded,
) -> Iterator[_Recorder]:
    recorder = _Recorder(anatomy, added, points)
    token = attender.set(recorder)
    try:
        with torch.enable_grad(), recorder.hooked():
            yield recorder
    finally:
        attender.reset(token)
