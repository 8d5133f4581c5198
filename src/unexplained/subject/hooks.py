"""What happens inside a pass: hooks where somebody watches, edits in their turn.

`run` makes one `Running` per pass. Reading and editing are one mechanism: an edit that returns
None only looks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from unexplained.errors import MeasurementError, SiteError
from unexplained.sites import FINAL_LAYER, Site
from unexplained.subject.anatomy import Anatomy
from unexplained.subject.attention import HeadValues, Rotary
from unexplained.subject.edits import Batch, Edit, Local, Lookup
from unexplained.subject.passing import aside, own_hook, passing
from unexplained.subject.placed import (
    DirectGroup,
    HeldScales,
    PlacedEdit,
    Scales,
    by_place,
    by_position,
    by_rows,
    first_of,
    for_any_batch,
    only,
    rescaled,
    some_rows,
    watch,
    wide,
    with_rows,
)


@dataclass
class Running:
    """The state of one pass: which edits stand where, and what has been seen."""

    anatomy: Anatomy
    batch: Batch
    edits: Sequence[PlacedEdit]
    keep: Sequence[Site]
    keep_streams: set[int]
    direct: Sequence[Sequence[Edit]]
    held: Sequence[HeldScales] = ()
    keep_scales: bool = False
    scales: Scales = field(default_factory=dict)
    values: dict[Site, Tensor] = field(default_factory=dict)
    seen: dict[Site, Tensor] = field(default_factory=dict)
    streams: dict[int, Tensor] = field(default_factory=dict)
    arguments: list[tuple[tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)
    stream: Tensor = field(default_factory=lambda: torch.empty(0))
    layer_input: Tensor = field(default_factory=lambda: torch.empty(0))
    rotary: Rotary | None = None
    attended: list[int] = field(default_factory=list)
    """The layers whose attention came by, in order."""

    def __post_init__(self) -> None:
        both = [placed.edit for placed in self.edits]
        both += [edit for group in self.direct for edit in group]
        readers = [watch(site, self.seen) for edit in both for site in edit.reads]
        keepers = [watch(site, self.values) for site in self.keep]
        self.places = by_place([*readers, *self.edits, *keepers])
        width = self.anatomy.shape.width
        shape = (*self.batch.tokens.shape, width)
        like = next(self.anatomy.model.parameters())
        self.groups = [
            DirectGroup(
                by_place([PlacedEdit(edit) for edit in group]),
                like.new_zeros(shape),
                # Squares of half precision leave its range.
                like.new_zeros(shape[:2], dtype=wide(like.dtype)),
            )
            for group in self.direct
        ]

    def check(self, start: int) -> None:
        """Refuse sites that this model, or a pass that begins at a layer, does not have."""
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

    def check_attention(self, start: int) -> None:
        """Refuse a pass in which a layer's attention was not ours: what was edited there was not.

        Raises:
            MeasurementError: Which layer's it was.
        """
        wanted = list(range(start, len(self.anatomy.layers)))
        if self.attended != wanted:
            raise MeasurementError(
                f"A pass through layers {start} to {len(self.anatomy.layers) - 1}",
                f"attention was computed by us in layers {self.attended}, and somewhere else in "
                "the others",
                "Something stands in the place of the model's own attention: load it again without.",
            )

    # --- hooks --------------------------------------------------------------------------------

    @contextmanager
    def hooked(self, *, every_layer: bool) -> Iterator[None]:
        """Hooks for the places that somebody watches, gone again afterwards."""
        handles: list[Any] = []
        places = set(self.places) | {place for group in self.groups for place in group.edits}
        norms = bool(self.held) or self.keep_scales
        for layer, module in enumerate(self.anatomy.layers):
            here = {place for at, place in places if at == layer}
            if every_layer or norms or here or layer in self.keep_streams:
                handles.append(self._before_layer(layer, module, record=every_layer))
            if norms:
                handles.extend(self._on_norms(layer))
            if here:
                handles.extend(self._inside_layer(layer, module, here))
        norm = self.anatomy.final_norm
        handles.append(norm.register_forward_pre_hook(own_hook(self, self._take_stream)))
        if norms:
            handles.extend(self._on_norms(len(self.anatomy.layers)))
        if (FINAL_LAYER, "final") in places:
            final = own_hook(self, self._plain(FINAL_LAYER, "final"))
            handles.append(norm.register_forward_hook(final))
        try:
            with passing(self):
                yield
        finally:
            for handle in handles:
                handle.remove()

    def _take_stream(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        self.stream = args[0]

    def _before_layer(self, layer: int, module: nn.Module, *, record: bool) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if record:
                self.arguments.append(for_any_batch(args, kwargs))
            # Before accelerate's own hook, which moves what comes from another device.
            stream = self._visit(layer, "resid_pre", args[0].to(self.anatomy.device(layer)))
            self.layer_input = stream
            turns = kwargs.get("position_embeddings")
            self.rotary = None if turns is None else Rotary(*turns)
            if layer in self.keep_streams:
                self.streams[layer] = stream
            return (stream, *args[1:]), kwargs

        return module.register_forward_pre_hook(own_hook(self, hook), with_kwargs=True)

    def _inside_layer(self, layer: int, module: nn.Module, here: set[str]) -> Iterator[Any]:
        anatomy = self.anatomy
        if here & {"out"}:
            yield anatomy.head_output(layer).register_forward_hook(
                own_hook(self, self._outs(layer))
            )
        if here & {"attn"} or (self.groups and anatomy.architecture.attention_post_norm):
            yield anatomy.attention_end(layer).register_forward_hook(
                own_hook(self, self._attention_end(layer))
            )
        if "resid_mid" in here:
            yield anatomy.mlp_reader(layer).register_forward_pre_hook(
                own_hook(self, self._middle(layer))
            )
        if "neurons" in here:
            yield anatomy.neuron_output(layer).register_forward_pre_hook(
                own_hook(self, self._neurons(layer))
            )
        if here & {"mlp"} or (self.groups and anatomy.architecture.mlp_post_norm):
            yield anatomy.mlp_end(layer).register_forward_hook(own_hook(self, self._mlp_end(layer)))
        if "resid_post" in here:
            yield module.register_forward_hook(own_hook(self, self._plain(layer, "resid_post")))

    def _on_norms(self, layer: int) -> Iterator[Any]:
        """Before all other hooks on a norm's output: those see it as it is held."""
        for path, module in self.anatomy.norms(layer).items():
            yield module.register_forward_hook(own_hook(self, self._norm(layer, path)))

    def _norm(self, layer: int, path: str) -> Callable[..., Any]:
        def hook(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
            last = layer == len(self.anatomy.layers)
            read = args[0] if last else by_position(args[0], self.layer_input)
            own = self.anatomy.norm_scale(module, read.to(wide(read.dtype)))
            if self.keep_scales:
                self.scales[layer, path] = own
            whole = output.view(read.shape)
            for held in self.held:
                if layer >= held.since:
                    scale = held.scales[layer, path].to(own.device)
                    kept = rescaled(
                        module, some_rows(whole, held.rows), scale / some_rows(own, held.rows)
                    )
                    whole = with_rows(whole, held.rows, kept)
            return whole.view(output.shape)

        return hook

    def _plain(self, layer: int, place: str) -> Callable[..., Any]:
        def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
            new = self._visit(layer, place, first_of(output))
            return (new, *output[1:]) if isinstance(output, tuple) else new

        return hook

    def _added(self, layer: int, place: str, output: Tensor) -> Tensor:
        """What a block gives so that it adds what edits ask for to the stream."""
        scale = self.anatomy.residual_scale
        old = by_position(output if scale == 1 else output * scale, self.layer_input)
        new = self._visit(layer, place, old)
        if new is old:
            return output
        # A product that was read is, divided and multiplied again, the same to the bit.
        return (new if scale == 1 else new / scale).reshape(output.shape)

    def _outs(self, layer: int) -> Callable[..., Any]:
        size, scale = self.anatomy.shape.head_size, self.anatomy.residual_scale

        def hook(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
            def outs(head: int) -> Tensor:
                z: Tensor = args[0][..., head * size : (head + 1) * size]
                return z @ self.anatomy.head_weight(layer, head)

            for placed in self.places.get((layer, "out"), ()):
                old = outs(placed.edit.site.home.index)
                new = self._edited(placed, old)
                output = output if new is old else output + (new - old) / scale
            for group in self.groups:
                for placed in group.edits.get((layer, "out"), ()):
                    old = outs(placed.edit.site.home.index)
                    new = self._edited(placed, old)
                    if new is not old:
                        self._add(group, layer, new - old)
            return output

        return hook

    def _attention_end(self, layer: int) -> Callable[..., Any]:
        def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
            attn = self._added(layer, "attn", first_of(output))
            self._through_post_norm(module, args)
            return (attn, *output[1:]) if isinstance(output, tuple) else attn

        return hook

    def _middle(self, layer: int) -> Callable[..., Any]:
        def hook(module: nn.Module, args: tuple[Any, ...]) -> None:
            stream = by_position(args[0], self.layer_input)
            seen = stream.clone()
            new = self._visit(layer, "resid_mid", seen)
            if new is not seen:
                # As the layer's own sum would round it; zeros to the last bit, which the next norm
                # would raise a thousandfold.
                rounded = self.layer_input + (new - self.layer_input)
                # In place, because the layer adds the MLP's output to this very tensor.
                stream.copy_(torch.where(new == seen, seen, rounded).view(stream.shape))

        return hook

    def _neurons(self, layer: int) -> Callable[..., Any]:
        def hook(module: nn.Module, args: tuple[Any, ...]) -> Any:
            whole = acts = by_position(args[0], self.layer_input)
            for placed in self.places.get((layer, "neurons"), ()):
                old = acts[..., placed.edit.site.index]
                new = self._edited(placed, old)
                if new is not old:
                    acts = acts.clone() if acts is whole else acts
                    acts[..., placed.edit.site.index] = new
            for group in self.groups:
                for placed in group.edits.get((layer, "neurons"), ()):
                    old = whole[..., placed.edit.site.index]
                    new = self._edited(placed, old)
                    if new is not old:
                        weight = self.anatomy.neuron_weight(layer, placed.edit.site.index)
                        added = (new - old)[..., None] * weight
                        self._add(
                            group, layer, added, bool(self.anatomy.architecture.mlp_post_norm)
                        )
            return (acts.reshape(args[0].shape), *args[1:])

        return hook

    def _mlp_end(self, layer: int) -> Callable[..., Any]:
        def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
            self._through_post_norm(module, args)
            new = self._added(layer, "mlp", first_of(output))
            return (new, *output[1:]) if isinstance(output, tuple) else new

        return hook

    # --- what happens at a place --------------------------------------------------------------

    def _local(self, placed: PlacedEdit, own: Lookup) -> Local:
        # A model may be spread over devices: an edit sees all that it is given on its own one.
        device = self.anatomy.device(placed.edit.where.layer)
        reads = {
            site: some_rows(self.seen[site], placed.rows).to(device)
            for site in placed.edit.reads
            if site in self.seen
        }
        return Local(placed.edit.where, self.batch.on(device), own, reads)

    def _edited(self, placed: PlacedEdit, value: Tensor) -> Tensor:
        """The value with the edit's rows replaced; the very same tensor where it only looked."""
        here = some_rows(value, placed.rows)
        new = self._given(placed, only(here))
        return value if new is None else with_rows(value, placed.rows, new)

    def _given(self, placed: PlacedEdit, own: Lookup) -> Tensor | None:
        """What an edit makes of the value at its place; one along a direction sees and moves that alone."""
        along = placed.edit.site.along
        if along is None:
            with aside():
                return placed.edit(self._local(placed, own))
        here = own(along.site.value)
        before = here @ (line := here.new_tensor(along.numbers))
        with aside():
            new = placed.edit(self._local(placed, only(before)))
        return None if new is None else here + (new - before)[..., None] * line

    def _visit(self, layer: int, place: str, value: Tensor) -> Tensor:
        """Let the edits at a whole-vector place have their turn."""
        for placed in self.places.get((layer, place), ()):
            value = self._edited(placed, value)
        for group in self.groups:
            for placed in group.edits.get((layer, place), ()):
                new = self._edited(placed, value)
                if new is not value:
                    # What a block adds has been through its post-norm already.
                    self._add(group, layer, new - value, post_norm=False)
        return value

    def on_attention(self, layer: int, values: HeadValues, z: Tensor) -> Tensor:
        """Called by the attention function: q, k, v, pattern and z of every head."""
        self.attended.append(layer)
        whole = z
        for rows, here in by_rows(self.places.get((layer, "attention"), ())):
            some = values if rows is None else values.rows(rows)
            for placed in here:
                self._edit_head(placed, layer, some)
            if some.changed and z is whole:
                z = z.clone()
            for head in some.changed:
                some_rows(z, rows)[:, :, head] = some.get(head, "z")
        for group in self.groups:
            if (layer, "attention") in group.edits:
                mine = values.fork()
                for placed in group.edits[layer, "attention"]:
                    self._edit_head(placed, layer, mine)
                for head in mine.changed:
                    moved = mine.get(head, "z") - z[:, :, head]
                    self._add(group, layer, moved @ self.anatomy.head_weight(layer, head))
        return z

    def _edit_head(self, placed: PlacedEdit, layer: int, values: HeadValues) -> None:
        site = placed.edit.where.home

        def own(name: str) -> Tensor:
            if name == "out":
                return values.get(site.index, "z") @ self.anatomy.head_weight(layer, site.index)
            return values.get(site.index, name)

        new = self._given(placed, own)
        if new is not None:
            values.set(site.index, site.value, new)

    def _add(
        self, group: DirectGroup, layer: int, added: Tensor, post_norm: bool | None = None
    ) -> None:
        group.error += added.to(wide(added.dtype)).pow(2).sum(-1).to(group.error.device)
        if bool(self.anatomy.architecture.attention_post_norm) if post_norm is None else post_norm:
            group.raw = added if group.raw is None else group.raw + added
        else:
            group.added += added.to(group.added.device)

    def _through_post_norm(self, norm: nn.Module, args: tuple[Any, ...]) -> None:
        """Carry what was added before a post-norm through it, on top of the intact input."""
        for group in self.groups:
            if group.raw is not None:
                # .forward, because calling the module would run this hook again.
                moved = norm.forward(args[0] + group.raw) - norm.forward(args[0])
                group.added += moved.to(group.added.device)
                group.raw = None
