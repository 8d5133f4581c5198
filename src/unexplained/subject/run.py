"""The engine: one forward pass with edits, resumed from the first layer they touch.

A decoder layer's arguments other than the stream (mask, rotary embeddings) do not depend on the
stream, so they are captured once per batch; from a kept stream the later layers run alone and
give the same bits as a whole pass. A condition so costs the layers after its first edit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from unexplained.errors import SiteError
from unexplained.sites import FINAL_LAYER, Site
from unexplained.subject.anatomy import Anatomy
from unexplained.subject.attention import STAGES, HeadValues, listener
from unexplained.subject.edits import Batch, Edit, Local, Lookup


@dataclass(frozen=True)
class Resume:
    """Where a pass can be taken up: the stream before a layer, and every layer's other arguments."""

    layer: int
    stream: Tensor
    arguments: tuple[tuple[tuple[Any, ...], dict[str, Any]], ...]


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
    _streams: dict[int, Tensor]
    _arguments: tuple[tuple[tuple[Any, ...], dict[str, Any]], ...]

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
) -> Pass:
    """Run one pass.

    Args:
        anatomy: The model.
        batch: Its input.
        edits: Interventions, each seeing the pass as edited so far.
        keep: Sites whose values are returned.
        keep_streams: Layers before which the stream is kept, for `Pass.resume`.
        direct: Groups of edits whose direct effect is measured without making them.
        resume: Start from here instead of from the tokens; nothing before it may be edited.

    Raises:
        SiteError: A site that this model does not have, or that lies before `resume`.
    """
    running = _Running(anatomy, batch, edits, keep, set(keep_streams), direct)
    running.check(resume)
    token = listener.set(running)
    try:
        with torch.no_grad(), running.hooked(every_layer=resume is None):
            if resume is None:
                normed = anatomy.body(input_ids=batch.tokens, use_cache=False)[0]
            else:
                running.arguments = list(resume.arguments)
                stream = resume.stream
                for layer in range(resume.layer, len(anatomy.layers)):
                    args, kwargs = resume.arguments[layer]
                    stream = _first(anatomy.layers[layer](stream, *args, **kwargs))
                normed = anatomy.final_norm(stream)
    finally:
        listener.reset(token)
    return Pass(
        running.stream,
        normed,
        running.values,
        tuple(Direct(group.added, group.error) for group in running.groups),
        running.streams,
        tuple(running.arguments),
    )


def _first(output: Any) -> Tensor:
    first: Tensor = output[0] if isinstance(output, tuple) else output
    return first


def _place(site: Site) -> tuple[int, str]:
    """Which hook sees a site: (layer, place)."""
    if site.part == "H":
        return site.layer, "out" if site.value == "out" else "attention"
    if site.part == "embed":
        return 0, "resid_pre"
    return site.layer, "neurons" if site.part == "N" else site.part


@dataclass
class _Group:
    """Direct edits of one condition, with what they have added so far."""

    edits: dict[tuple[int, str], list[Edit]]
    added: Tensor
    error: Tensor
    raw: Tensor | None = None
    """What this layer's head edits add before a post-norm."""


@dataclass
class _Running:
    """The state of one pass: which edits stand where, and what has been seen."""

    anatomy: Anatomy
    batch: Batch
    edits: Sequence[Edit]
    keep: Sequence[Site]
    keep_streams: set[int]
    direct: Sequence[Sequence[Edit]]
    values: dict[Site, Tensor] = field(default_factory=dict)
    seen: dict[Site, Tensor] = field(default_factory=dict)
    streams: dict[int, Tensor] = field(default_factory=dict)
    arguments: list[tuple[tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)
    stream: Tensor = field(default_factory=lambda: torch.empty(0))
    layer_input: Tensor = field(default_factory=lambda: torch.empty(0))

    def __post_init__(self) -> None:
        both = [*self.edits, *(edit for group in self.direct for edit in group)]
        readers = [_watch(site, self.seen) for edit in both for site in edit.reads]
        keepers = [_watch(site, self.values) for site in self.keep]
        self.places = _by_place([*readers, *self.edits, *keepers])
        width = self.anatomy.shape.width
        shape = (*self.batch.tokens.shape, width)
        like = next(self.anatomy.model.parameters())
        self.groups = [
            _Group(_by_place(group), like.new_zeros(shape), like.new_zeros(shape[:2]))
            for group in self.direct
        ]

    def check(self, resume: Resume | None) -> None:
        """Refuse sites that this model or this pass does not have."""
        start = -1 if resume is None else resume.layer
        for layer, place in self.places:
            if place == "resid_mid" and self.anatomy.parallel:
                raise SiteError(
                    f"The site L{layer}.resid_mid",
                    "in this model attention and MLP run side by side, so there is no middle",
                    f"Use L{layer}.resid_pre or L{layer}.resid_post.",
                )
            if layer < start:
                raise SiteError(
                    f"An edit in layer {layer}", f"the pass resumes at layer {start}, after it"
                )
        for group in self.groups:
            for layer, place in group.edits:
                if place not in ("attention", "out", "attn", "mlp", "neurons"):
                    raise SiteError(
                        f"The direct effect of L{layer}.{place}",
                        "only components that add to the stream have one",
                        "Ask for the total effect.",
                    )

    # --- hooks --------------------------------------------------------------------------------

    @contextmanager
    def hooked(self, *, every_layer: bool) -> Iterator[None]:
        """Hooks for the places that somebody watches, gone again afterwards."""
        handles: list[Any] = []
        places = set(self.places) | {place for group in self.groups for place in group.edits}
        for layer, module in enumerate(self.anatomy.layers):
            here = {place for at, place in places if at == layer}
            if every_layer or here or layer in self.keep_streams:
                handles.append(self._before_layer(layer, module, record=every_layer))
            if here:
                handles.extend(self._inside_layer(layer, module, here))
        norm = self.anatomy.final_norm
        handles.append(norm.register_forward_pre_hook(self._take_stream))
        if (FINAL_LAYER, "final") in places:
            handles.append(norm.register_forward_hook(self._plain(FINAL_LAYER, "final")))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _take_stream(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        self.stream = args[0]

    def _before_layer(self, layer: int, module: nn.Module, *, record: bool) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if record:
                self.arguments.append((args[1:], kwargs))
            stream = self._visit(layer, "resid_pre", args[0])
            self.layer_input = stream
            if layer in self.keep_streams:
                self.streams[layer] = stream
            return (stream, *args[1:]), kwargs

        return module.register_forward_pre_hook(hook, with_kwargs=True)

    def _inside_layer(self, layer: int, module: nn.Module, here: set[str]) -> Iterator[Any]:
        anatomy = self.anatomy
        if here & {"out"}:
            yield anatomy.head_output(layer).register_forward_hook(self._outs(layer))
        if here & {"attn", "resid_mid"} or (self.groups and anatomy.family.attention_post_norm):
            yield anatomy.attention_end(layer).register_forward_hook(self._attention_end(layer))
        if "neurons" in here:
            yield anatomy.neuron_output(layer).register_forward_pre_hook(self._neurons(layer))
        if here & {"mlp"} or (self.groups and anatomy.family.mlp_post_norm):
            yield anatomy.mlp_end(layer).register_forward_hook(self._mlp_end(layer))
        if "resid_post" in here:
            yield module.register_forward_hook(self._plain(layer, "resid_post"))

    def _plain(self, layer: int, place: str) -> Callable[..., Any]:
        def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
            new = self._visit(layer, place, _first(output))
            return (new, *output[1:]) if isinstance(output, tuple) else new

        return hook

    def _outs(self, layer: int) -> Callable[..., Any]:
        size = self.anatomy.shape.head_size

        def hook(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
            def outs(head: int) -> Tensor:
                z: Tensor = args[0][..., head * size : (head + 1) * size]
                return z @ self.anatomy.head_weight(layer, head)

            for edit in self.places.get((layer, "out"), ()):
                old = outs(edit.site.index)
                new = edit(self._local(edit, _only(old)))
                output = output if new is None else output + (new - old)
            for group in self.groups:
                for edit in group.edits.get((layer, "out"), ()):
                    old = outs(edit.site.index)
                    new = edit(self._local(edit, _only(old)))
                    if new is not None:
                        self._add(group, layer, new - old)
            return output

        return hook

    def _attention_end(self, layer: int) -> Callable[..., Any]:
        def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
            attn = self._visit(layer, "attn", _first(output))
            if (layer, "resid_mid") in self.places:
                mid = self.layer_input + attn
                attn = attn + (self._visit(layer, "resid_mid", mid) - mid)
            self._through_post_norm(module, args)
            return (attn, *output[1:]) if isinstance(output, tuple) else attn

        return hook

    def _neurons(self, layer: int) -> Callable[..., Any]:
        def hook(module: nn.Module, args: tuple[Any, ...]) -> Any:
            acts = args[0]
            for edit in self.places.get((layer, "neurons"), ()):
                new = edit(self._local(edit, _only(acts[..., edit.site.index])))
                if new is not None:
                    acts = acts.clone() if acts is args[0] else acts
                    acts[..., edit.site.index] = new
            for group in self.groups:
                for edit in group.edits.get((layer, "neurons"), ()):
                    old = args[0][..., edit.site.index]
                    new = edit(self._local(edit, _only(old)))
                    if new is not None:
                        weight = self.anatomy.neuron_weight(layer, edit.site.index)
                        added = (new - old)[..., None] * weight
                        self._add(group, layer, added, bool(self.anatomy.family.mlp_post_norm))
            return (acts, *args[1:])

        return hook

    def _mlp_end(self, layer: int) -> Callable[..., Any]:
        plain = self._plain(layer, "mlp")

        def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
            self._through_post_norm(module, args)
            return plain(module, args, output)

        return hook

    # --- what happens at a place --------------------------------------------------------------

    def _local(self, edit: Edit, own: Lookup) -> Local:
        return Local(edit.where, self.batch, own, self.seen)

    def _visit(self, layer: int, place: str, value: Tensor) -> Tensor:
        """Let the edits at a whole-vector place have their turn."""
        for edit in self.places.get((layer, place), ()):
            new = edit(self._local(edit, _only(value)))
            value = value if new is None else new
        for group in self.groups:
            for edit in group.edits.get((layer, place), ()):
                new = edit(self._local(edit, _only(value)))
                if new is not None:
                    # What a block adds has been through its post-norm already.
                    self._add(group, layer, new - value, post_norm=False)
        return value

    def on_attention(self, layer: int, values: HeadValues, z: Tensor) -> Tensor:
        """Called by the attention function: q, k, v, pattern and z of every head."""
        for edit in self.places.get((layer, "attention"), ()):
            self._edit_head(edit, layer, values)
        if values.changed:
            z = z.clone()
            for head in values.changed:
                z[:, :, head] = values.get(head, "z")
        for group in self.groups:
            if (layer, "attention") in group.edits:
                mine = values.fork()
                for edit in group.edits[layer, "attention"]:
                    self._edit_head(edit, layer, mine)
                for head in mine.changed:
                    moved = mine.get(head, "z") - z[:, :, head]
                    self._add(group, layer, moved @ self.anatomy.head_weight(layer, head))
        return z

    def _edit_head(self, edit: Edit, layer: int, values: HeadValues) -> None:
        head = edit.site.index

        def own(name: str) -> Tensor:
            if name == "out":
                return values.get(head, "z") @ self.anatomy.head_weight(layer, head)
            return values.get(head, name)

        new = edit(self._local(edit, own))
        if new is not None:
            values.set(head, edit.where.value, new)

    def _add(self, group: _Group, layer: int, added: Tensor, post_norm: bool | None = None) -> None:
        group.error += added.pow(2).sum(-1)
        if bool(self.anatomy.family.attention_post_norm) if post_norm is None else post_norm:
            group.raw = added if group.raw is None else group.raw + added
        else:
            group.added += added

    def _through_post_norm(self, norm: nn.Module, args: tuple[Any, ...]) -> None:
        """Carry what was added before a post-norm through it, on top of the intact input."""
        for group in self.groups:
            if group.raw is not None:
                # .forward, because calling the module would run this hook again.
                group.added += norm.forward(args[0] + group.raw) - norm.forward(args[0])
                group.raw = None


def _watch(site: Site, into: dict[Site, Tensor]) -> Edit:
    def look(local: Local) -> None:
        into[site] = local.value

    return Edit(site, look)


def _only(value: Tensor) -> Lookup:
    """A component with one value."""
    return lambda name: value


def _by_place(edits: Sequence[Edit]) -> dict[tuple[int, str], list[Edit]]:
    """Edits by the hook that sees them; at one attention, in the order in which values come about."""
    places: dict[tuple[int, str], list[Edit]] = defaultdict(list)
    for edit in edits:
        places[_place(edit.where)].append(edit)
    for at in places.values():
        at.sort(key=lambda edit: STAGES.get(edit.where.value, 0))
    return dict(places)
