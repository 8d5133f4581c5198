"""The graph of a model's parts: who can write what whom reads, one edge per pair.

Sources write into the residual stream: `input` (the embedding), heads `a3.h1`, MLPs `m3`.
Destinations read from it: `a3.h1<q>` `a3.h1<k>` `a3.h1<v>`, `m3`, `logits`. Keys and values are
those of one query head, also where several heads share them, so that all models have the same
kind of graph. Names and order are those of MIB (Mueller et al. 2025, arXiv:2504.13151).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from unexplained.errors import UnexplainedError, near_matches
from unexplained.sites import Shape, Site

INPUT = "input"
LOGITS = "logits"


class CircuitError(UnexplainedError):
    """A circuit, an edge or an attribution that a model does not have or cannot be given."""


@dataclass(frozen=True)
class Graph:
    """All edges of a model, known from its sizes alone."""

    layers: int
    heads: int
    width: int
    parallel: bool = False
    """Attention and MLP of a layer read the same stream: its heads do not reach its MLP."""

    @classmethod
    def of(cls, shape: Shape, *, parallel: bool) -> Graph:
        """The graph of a model of these sizes.

        Args:
            shape: Layers and heads.
            parallel: Attention and MLP read the same stream, side by side.
        """
        return cls(shape.layers, shape.heads, shape.width, parallel)

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """What writes into the stream, in the order of the pass."""
        names = [INPUT]
        for layer in range(self.layers):
            names += [f"a{layer}.h{head}" for head in range(self.heads)]
            names.append(f"m{layer}")
        return tuple(names)

    @cached_property
    def destinations(self) -> tuple[str, ...]:
        """What reads from the stream, in the order of the pass."""
        names = []
        for layer in range(self.layers):
            names += [f"a{layer}.h{head}<{part}>" for part in "qkv" for head in range(self.heads)]
            names.append(f"m{layer}")
        return (*names, LOGITS)

    def sources_before(self, layer: int) -> int:
        """How many sources come before a layer: they are the first ones."""
        return 1 + layer * (self.heads + 1)

    def destinations_before(self, layer: int) -> int:
        """How many destinations come before a layer."""
        return layer * (3 * self.heads + 1)

    @cached_property
    def real(self) -> NDArray[np.bool_]:
        """(source, destination): whether there is such an edge."""
        real = np.zeros((len(self.sources), len(self.destinations)), dtype=bool)
        for layer in range(self.layers):
            first, column = self.sources_before(layer), self.destinations_before(layer)
            mlp = column + 3 * self.heads
            real[:first, column : mlp + 1] = True
            if not self.parallel:
                real[first : first + self.heads, mlp] = True
        real[:, -1] = True
        return real

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """(edge, 2): the numbers of its source and its destination, ordered by source."""
        return np.argwhere(self.real)

    @property
    def edges(self) -> int:
        """How many edges there are.

        >>> Graph(layers=30, heads=9, width=576).edges
        123211
        """
        return len(self.ends)

    def name(self, edge: int) -> str:
        """The edge as MIB writes it, such as `a3.h1->m5` or `input->a0.h0<q>`."""
        source, destination = self.ends[edge]
        return f"{self.sources[source]}->{self.destinations[destination]}"

    def address(self, edge: int) -> str:
        """The edge in the addresses of sites, such as `L3.H1 → L5.mlp` or `input → L0.H0.q`."""
        return " → ".join(map(_address, self.name(edge).split("->")))

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Edge by name."""
        return {self.name(edge): edge for edge in range(self.edges)}

    def find(self, name: str) -> int:
        """The number of an edge, by its `name`.

        Raises:
            CircuitError: There is no such edge.
        """
        if name not in self.numbers:
            source, _, destination = name.partition("->")
            if source not in self.sources:
                hint = near_matches(source, self.sources)
            elif destination not in self.destinations:
                hint = near_matches(destination, self.destinations)
            else:
                hint = "What is read comes before what is written, so nothing flows there."
            raise CircuitError(f"The edge '{name}'", "this model has no such edge", hint)
        return self.numbers[name]

    def matrix(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values by edge as (source, destination), NaN where there is no edge."""
        table = np.full(self.real.shape, np.nan)
        table[self.real] = values
        return table

    def site(self, source: str) -> Site:
        """What a source is called elsewhere: `embed`, `L3.H1`, `L3.mlp`.

        Raises:
            CircuitError: There is no such source.
        """
        if source not in self.sources:
            raise CircuitError(
                f"The source '{source}'", "there is none", near_matches(source, self.sources)
            )
        if source == INPUT:
            return Site(-1, "embed")
        if source[0] == "m":
            return Site(int(source[1:]), "mlp")
        layer, head = source[1:].split(".h")
        return Site(int(layer), "H", int(head))


def _address(node: str) -> str:
    """A node as sites are written; MIB's names of the input and the logits stay.

    >>> [_address(node) for node in ("a3.h1", "a0.h0<q>", "m5", "input", "logits")]
    ['L3.H1', 'L0.H0.q', 'L5.mlp', 'input', 'logits']
    """
    head = re.fullmatch(r"a(\d+)\.h(\d+)(?:<([qkv])>)?", node)
    if head:
        layer, number, read = head.groups()
        return f"L{layer}.H{number}" + (f".{read}" if read else "")
    return re.sub(r"^m(\d+)$", r"L\1.mlp", node)
