"""Orders of all edges, and the circuits that their beginnings are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from unexplained.circuits.edges import EdgeScores
from unexplained.circuits.graph import CircuitError, Graph
from unexplained.circuits.methods import By, EdgeMethod
from unexplained.record import Method

SAYS: Mapping[EdgeMethod, str] = {
    "eap": "the gradient at the clean prompt times the change of each edge",
    "eap-ig-inputs": "the same with gradients averaged over embeddings from corrupted to clean",
    "eap-ig-activations": "the same with gradients averaged over each group's own outputs",
}


@dataclass(frozen=True)
class Order:
    """An order of all edges, the first ones to be kept first."""

    name: str
    says: str
    role: Literal["", "baseline"]
    """A baseline takes no thought of the behaviour."""
    orders: tuple[NDArray[np.int64], ...]
    """Several draws where it is random."""
    method: Method = "internals"
    """Attributions and magnitudes look inside, a random order at nothing."""

    def edges(self, draw: int, count: int) -> NDArray[np.bool_]:
        """The first so many, as one truth value for each edge."""
        chosen = np.zeros(len(self.orders[draw]), dtype=bool)
        chosen[self.orders[draw][:count]] = True
        return chosen

    def condition_name(self, draw: int, count: int) -> str:
        """What the circuit is called in a ledger."""
        return f"{self.name}, {count} edges" + (f", draw {draw + 1}" if self.draws > 1 else "")

    def names(self, count: int) -> list[str]:
        """Those of all draws."""
        return [self.condition_name(draw, count) for draw in range(self.draws)]

    @property
    def random(self) -> bool:
        """Whether it looks at nothing."""
        return self.method == "black-box"

    @property
    def draws(self) -> int:
        """How many."""
        return len(self.orders)


def attributed(scores: Sequence[EdgeScores], by: By) -> list[Order]:
    """Orders by attributions, under their methods' names."""
    return [Order(s.method, SAYS[s.method], "", (s.ranking(by=by),)) for s in scores]


def given_orders(scores: Mapping[str, NDArray[np.float64]], graph: Graph, by: By) -> list[Order]:
    """Orders from elsewhere; edges without a score come last.

    Raises:
        CircuitError: There is not one score for each edge.
    """
    orders = []
    for name, values in scores.items():
        if values.shape != (graph.edges,):
            raise CircuitError(
                f"The scores '{name}'", f"there are {values.shape} for {graph.edges:,} edges"
            )
        key = np.nan_to_num(np.abs(values) if by == "absolute" else values, nan=-np.inf)
        says = "as scored in that file"
        orders.append(Order(name, says, "", (np.argsort(-key, kind="stable"),)))
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
        Order("random", f"in random order, {draws} draws", "baseline", shuffled, "black-box"),
    ]
