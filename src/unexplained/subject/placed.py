"""Where in a pass edits stand, for which rows of the batch, and what of a value is theirs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from unexplained.sites import Site
from unexplained.subject.attention import STAGES
from unexplained.subject.edits import Edit, Local, Lookup


def first_of(output: Any) -> Tensor:
    """A module's output, or the first of several."""
    first: Tensor = output[0] if isinstance(output, tuple) else output
    return first


def by_position(value: Tensor, stream: Tensor) -> Tensor:
    """(batch, position, …), also where a layer has put all positions in one row (OPT's MLP)."""
    return value if value.dim() > 2 else value.view(*stream.shape[:2], -1)


def place_of(site: Site) -> tuple[int, str]:
    """Which hook sees a site: (layer, place)."""
    site = site.home
    if site.part == "H":
        return site.layer, "out" if site.value == "out" else "attention"
    if site.part == "embed":
        return 0, "resid_pre"
    return site.layer, "neurons" if site.part == "N" else site.part


@dataclass(frozen=True)
class PlacedEdit:
    """An edit and the rows of the batch that it is about."""

    edit: Edit
    rows: slice | None = None
    """None for all."""


Scales = dict[tuple[int, str], Tensor]
"""What every norm of a pass multiplied by, by layer and path (`Anatomy.norms`): (batch, position, …, 1)."""


@dataclass(frozen=True)
class HeldScales:
    """Scales of another pass that norms keep, in some rows, from a layer on."""

    scales: Scales
    rows: slice | None = None
    since: int = 0


def wide(kind: torch.dtype) -> torch.dtype:
    """Float32, or what is wider."""
    return torch.promote_types(kind, torch.float32)


def for_any_batch(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A layer's other arguments, the mask cut to one row: no row has a mask of its own."""

    def cut(value: Any) -> Any:
        return value[:1] if isinstance(value, Tensor) and value.dim() == 4 else value

    return tuple(map(cut, args[1:])), {name: cut(value) for name, value in kwargs.items()}


def by_rows(placed: Sequence[PlacedEdit]) -> list[tuple[slice | None, list[PlacedEdit]]]:
    """Edits by the rows that they are about, in the order in which they came."""
    found: dict[tuple[int, int] | None, tuple[slice | None, list[PlacedEdit]]] = {}
    for one in placed:
        mark = None if one.rows is None else (one.rows.start, one.rows.stop)
        found.setdefault(mark, (one.rows, []))[1].append(one)
    return list(found.values())


def some_rows(value: Tensor, rows: slice | None) -> Tensor:
    """The rows of a value that somebody is about; all of them where none are named."""
    return value if rows is None else value[rows]


def with_rows(value: Tensor, rows: slice | None, new: Tensor) -> Tensor:
    """The value with other rows; `new` itself where it is all of them."""
    if rows is None:
        return new
    value = value.clone()
    value[rows] = new
    return value


def watch(site: Site, into: dict[Site, Tensor]) -> PlacedEdit:
    """An edit that only looks, and keeps what it sees."""

    def look(local: Local) -> None:
        into[site] = local.value

    return PlacedEdit(Edit(site, look))


def only(value: Tensor) -> Lookup:
    """A component with one value."""
    return lambda name: value


def by_place(edits: Sequence[PlacedEdit]) -> dict[tuple[int, str], list[PlacedEdit]]:
    """Edits by the hook that sees them; at one attention, in the order in which values come about."""
    places: dict[tuple[int, str], list[PlacedEdit]] = defaultdict(list)
    for placed in edits:
        places[place_of(placed.edit.where)].append(placed)
    for at in places.values():
        at.sort(key=lambda placed: STAGES.get(placed.edit.where.home.value, 0))
    return dict(places)


@dataclass
class DirectGroup:
    """Direct edits of one condition, with what they have added so far."""

    edits: dict[tuple[int, str], list[PlacedEdit]]
    added: Tensor
    error: Tensor
    raw: Tensor | None = None
    """What this layer's head edits add before a post-norm."""


def rescaled(norm: nn.Module, output: Tensor, ratio: Tensor) -> Tensor:
    """A norm's output as it would be with its scale multiplied; the same to the bit where by 1."""
    bias: Tensor | None = getattr(norm, "bias", None)
    plain = output if bias is None else output - bias
    return (output + plain * (ratio - 1)).to(output.dtype)
