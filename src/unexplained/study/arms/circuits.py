"""Circuits as arms: the first so many edges in some orders of all."""

from __future__ import annotations

from collections.abc import Sequence

from unexplained.circuits.graph import Graph
from unexplained.circuits.orders import Order
from unexplained.circuits.running import Circuits
from unexplained.study.arm import Arm, arm
from unexplained.study.run import Run


def circuits(run: Run, graph: Graph, orders: Sequence[Order], counts: Sequence[int]) -> list[Arm]:
    """The circuits of every order, draw and number of edges, each called `Order.condition_name`.

    Raises:
        CircuitError: An order is of another model, or what the model's components write is no sum.
    """
    made = Circuits(run.subject, graph)
    return [
        arm(
            made.condition(order.condition_name(draw, count), order.edges(draw, count)),
            role=order.role,
            says=order.says,
            method=order.method,
        )
        for order in orders
        for draw in range(order.draws)
        for count in counts
    ]
