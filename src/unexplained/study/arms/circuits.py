"""Circuits as arms: the first so many edges in some orders of all. An order that claims something has random ones beside it."""

from __future__ import annotations

from collections.abc import Sequence

from unexplained.circuits.graph import Graph
from unexplained.circuits.orders import Order
from unexplained.circuits.running import Circuits
from unexplained.record.blocks import Role
from unexplained.study.arm import Arm, arm
from unexplained.study.run import Run


def circuits(
    run: Run,
    graph: Graph,
    orders: Sequence[Order],
    counts: Sequence[int],
    *,
    role: Role = "explanation",
) -> list[Arm]:
    """The circuits of every order, draw and number of edges, each called `Order.condition_name`.

    Args:
        run: What is measured, on pairs of prompts.
        graph: All edges of its model.
        orders: Of these edges. Of one that is no baseline each circuit is a claim, and as many edges
            at random are its controls: without an order at random `Run.measure` refuses it.
        counts: How many edges.
        role: Of what is claimed: `twin` where the model is one, which claims nothing.

    Raises:
        CircuitError: An order is of another model, or what the model's components write is no sum.
    """
    made = Circuits(run.subject, graph)

    def circuit(order: Order, draw: int, count: int, controls: tuple[Arm, ...] = ()) -> Arm:
        condition = made.condition(order.condition_name(draw, count), order.edges(draw, count))
        return arm(condition, role=order.role or role, says=order.says, method=order.method,
                   controls=controls)  # fmt: skip

    at_random = {
        count: tuple(circuit(o, d, count) for o in orders if o.random for d in range(o.draws))
        for count in counts
    }
    return [
        circuit(order, draw, count, () if order.role else at_random[count])
        for order in orders
        for draw in range(order.draws)
        for count in counts
    ]
