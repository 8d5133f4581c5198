"""The engine: one forward pass with edits, resumed from the first layer they touch.

A decoder layer's arguments other than the stream (mask, rotary embeddings) do not depend on the
stream, so they are captured once per batch; from a kept stream the later layers run alone and
give the same bits as a whole pass. A condition so costs the layers after its first edit. Short
batches run as several copies side by side, each under its own edits and each joining where its
own kept stream ends, and a beginning in which nothing is changed not at all (`Prefix`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unexplained.errors import SiteError, SubjectError
from unexplained.sites import Site
from unexplained.subject.anatomy import Anatomy
from unexplained.subject.attention import listener
from unexplained.subject.edits import Batch, Edit, first_layer
from unexplained.subject.hooks import Running
from unexplained.subject.placed import HeldScales, PlacedEdit, Scales, first_of
from unexplained.subject.prefix import Prefix


@dataclass(frozen=True)
class Resume:
    """Where a pass can be taken up: the stream before a layer, and every layer's other arguments."""

    layer: int
    stream: Tensor
    arguments: tuple[tuple[tuple[Any, ...], dict[str, Any]], ...]


@dataclass(frozen=True)
class Copy:
    """A copy of the batch under edits of its own, in a pass of several (`run`)."""

    resume: Resume
    """Where it joins the pass."""
    edits: Sequence[Edit]
    held: Scales | None = None
    """As in `run`."""


@dataclass(frozen=True)
class Direct:
    """The direct effect of a group of edits, found on a pass that they do not change.

    `added` (batch, position, width): what the edits add to the stream, each seeing the intact
    pass; `error` (batch, position): the squared length of that, summed over components.
    """

    added: Tensor
    error: Tensor


@dataclass(frozen=True)
class Pass:
    """A finished forward pass."""

    stream: Tensor
    """The residual stream after the last layer, (batch, position, width)."""
    normed: Tensor
    """The final norm's output, edits included: what the unembedding reads."""
    values: dict[Site, Tensor]
    """The sites that were asked for with `keep`, edits included."""
    direct: tuple[Direct, ...]
    scales: Scales
    """What every norm multiplied by, if that was asked for with `keep_scales`."""
    _streams: dict[int, Tensor]
    _arguments: tuple[tuple[tuple[Any, ...], dict[str, Any]], ...]

    def has(self, layer: int) -> bool:
        """Whether the stream before that layer was kept."""
        return layer in self._streams or layer == len(self._arguments)

    def turned(self, layer: int) -> int:
        """How many entries of a head's query and key rotary embedding turns there, of a pass from the tokens.

        Entry i with entry i + half of them; none where there is no such embedding.
        """
        turns = self._arguments[layer][1].get("position_embeddings")
        return 0 if turns is None else int(turns[0].shape[-1])

    def resume(self, layer: int) -> Resume:
        """The point before a layer that was named in `keep_streams`, or after the last layer."""
        after_all = layer == len(self._arguments)
        return Resume(layer, self.stream if after_all else self._streams[layer], self._arguments)


def run(
    anatomy: Anatomy,
    batch: Batch,
    edits: Sequence[Edit] = (),
    *,
    keep: Sequence[Site] = (),
    keep_streams: Sequence[int] = (),
    direct: Sequence[Sequence[Edit]] = (),
    resume: Resume | None = None,
    prefix: Prefix | None = None,
    copies: Sequence[Copy] = (),
    keep_scales: bool = False,
    held: Scales | None = None,
    differentiable: bool = False,
) -> Pass:
    """Run one pass of the model; `Subject.run` says what else is asked for.

    Raises:
        SiteError: A site that this model does not have, or that lies before `resume`.
    """
    others, held_of_others = _side_by_side(copies, batch.tokens.shape[0])
    placed = [PlacedEdit(edit) for edit in edits] + others
    holding = ([] if held is None else [HeldScales(held)]) + held_of_others
    starts = [copy.resume for copy in copies] or ([] if resume is None else [resume])
    running = Running(anatomy, batch, placed, keep, set(keep_streams), direct, holding, keep_scales)
    running.check(starts[0].layer if starts else -1)
    if not batch.tokens.numel():
        shape = tuple(batch.tokens.shape)
        raise SubjectError(
            f"A pass over tokens of shape {shape}", "there is none", "Give one or more."
        )
    anatomy.require_positions(batch.start + batch.tokens.shape[1])
    token = listener.set(running)
    try:
        with torch.set_grad_enabled(differentiable), running.hooked(every_layer=not starts):
            if not starts:
                anatomy.require_tokens(batch.tokens)
                before = None if prefix is None else prefix.cache
                normed = anatomy.body(
                    input_ids=batch.tokens, past_key_values=before, use_cache=False
                )[0]
            else:
                running.arguments = list(starts[0].arguments)
                normed = anatomy.final_norm(_onwards(anatomy, starts))
    finally:
        listener.reset(token)
    running.check_attention(starts[0].layer if starts else 0)
    where = batch.tokens.device
    return Pass(
        running.stream.to(where),
        normed.to(where),
        running.values,
        tuple(Direct(group.added, group.error) for group in running.groups),
        running.scales,
        running.streams,
        tuple(running.arguments),
    )


def _side_by_side(copies: Sequence[Copy], rows: int) -> tuple[list[PlacedEdit], list[HeldScales]]:
    """Edits and held scales of copies of so many rows each, with the rows of theirs.

    Raises:
        SiteError: An edit lies before the layer at which its copy joins.
    """
    placed: list[PlacedEdit] = []
    holding: list[HeldScales] = []
    for i, copy in enumerate(copies):
        mine = slice(i * rows, (i + 1) * rows)
        placed += [PlacedEdit(edit, mine) for edit in copy.edits]
        if copy.held is not None:
            holding.append(HeldScales(copy.held, mine, since=copy.resume.layer))
        # The embedding, -1, is seen before layer 0.
        first = max(first_layer(copy.edits, none=copy.resume.layer), 0)
        if first < copy.resume.layer:
            raise SiteError(
                f"An edit in layer {first}",
                f"its copy joins the pass at layer {copy.resume.layer}, after it",
            )
    layers = [copy.resume.layer for copy in copies]
    assert layers == sorted(layers), "copies that join at an earlier layer come first"
    return placed, holding


def _onwards(anatomy: Anatomy, starts: Sequence[Resume]) -> Tensor:
    """The final stream from kept ones, in their order; later ones join when it comes to them."""
    stream: list[Tensor] = []
    for layer in range(starts[0].layer, len(anatomy.layers) + 1):
        here = anatomy.device(layer)
        stream += [start.stream.to(here) for start in starts if start.layer == layer]
        if len(stream) > 1:
            stream = [torch.cat([part.to(here) for part in stream])]
        if layer < len(anatomy.layers):
            args, kwargs = starts[0].arguments[layer]
            stream = [first_of(anatomy.layers[layer](stream[0], *args, **kwargs))]
    return stream[0]
