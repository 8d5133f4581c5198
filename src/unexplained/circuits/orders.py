"""Orders of all edges, and the circuits that their beginnings are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from unexplained.circuits.edges import By
from unexplained.circuits.graph import Graph
from unexplained.circuits.running import Circuits
from unexplained.evaluate import Condition


@dataclass(frozen=True)
class Order:
    """An order of all edges, the first ones to be kept first."""

    name: str
    says: str
    kind: Literal["attribution", "baseline"]
    orders: tuple[NDArray[np.int64], ...]
    """Several draws where it is random."""

    def edges(self, draw: int, count: int) -> NDArray[np.bool_]:
        """The first so many, as one truth value for each edge."""
        chosen = np.zeros(len(self.orders[draw]), dtype=bool)
        chosen[self.orders[draw][:count]] = True
        return chosen

    def condition_name(self, draw: int, count: int) -> str:
        """What the circuit is called in a ledger."""
        return f"{self.name}, {count} edges" + (f", draw {draw + 1}" if self.draws > 1 else "")

    @property
    def draws(self) -> int:
        """How many."""
        return len(self.orders)


def given_orders(scores: Mapping[str, NDArray[np.float64]], graph: Graph, by: By) -> list[Order]:
    """Orders from elsewhere; edges without a score come last."""
    orders = []
    for name, values in scores.items():
        key = np.nan_to_num(np.abs(values) if by == "absolute" else values, nan=-np.inf)
        says = "as scored in that file"
        orders.append(Order(name, says, "attribution", (np.argsort(-key, kind="stable"),)))
    return orders


def without_thought(size: NDArray[np.float64], graph: Graph, draws: int, seed: int) -> list[Order]:
    """What an attribution has to beat: edges by size (`magnitude.edge_sizes`) and at random."""
    generator = np.random.default_rng(seed)
    tie = generator.permutation(graph.edges)
    says = "by how much the edge's source differs between the prompts; ties at random"
    by_size = tie[np.argsort(-size[tie], kind="stable")]
    shuffled = tuple(generator.permutation(graph.edges) for _ in range(draws))
    return [
        Order("magnitude", says, "baseline", (by_size,)),
        Order("random", f"in random order, {draws} draws", "baseline", shuffled),
    ]


def conditions_of(
    circuits: Circuits, orders: Sequence[Order], counts: Sequence[int]
) -> tuple[list[Condition], dict[str, str]]:
    """All circuits, and for every name the condition in which the same edges were measured."""
    conditions: dict[str, Condition] = {}
    names: dict[str, str] = {}
    for order in orders:
        for draw in range(order.draws):
            for count in counts:
                edges, name = order.edges(draw, count), order.condition_name(draw, count)
                made = circuits.condition(name, edges)
                names[name] = conditions.setdefault(made.fingerprint, made).name
    return list(conditions.values()), names
