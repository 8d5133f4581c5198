"""Edges scored and put in order, and what the circuits that begin these orders keep, through a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from unexplained.bars.areas import counts_of
from unexplained.bars.cards import Card
from unexplained.bars.kept import CORRUPTED
from unexplained.bars.reading import Reading
from unexplained.circuits import EdgeScores, Graph, attribute_edges, edge_sizes
from unexplained.circuits.edges import require_edges
from unexplained.circuits.methods import By, EdgeMethod
from unexplained.circuits.orders import Order, without_thought
from unexplained.circuits.running import require_sums
from unexplained.errors import (
    MeasurementError,
    near_matches,
    require_choice,
    require_count,
    require_once,
)
from unexplained.record.bars import KeptCurve
from unexplained.record.blocks import Role
from unexplained.study.arms import circuits
from unexplained.study.asked import require_tokens
from unexplained.study.run import Run

BATCH_TOKENS = 512
"""A circuit holds what every source writes at every position of a batch."""


def attributions(run: Run, methods: Sequence[EdgeMethod], steps: int) -> list[EdgeScores]:
    """Every edge's scores by every method, on the fit part."""
    return [
        attribute_edges(
            run.subject, run.text, method=method, steps=steps, part="fit",
            **run.how(f"scoring edges by {method}"),
        )
        for method in methods
    ]  # fmt: skip


def baselines(run: Run, graph: Graph, draws: int) -> list[Order]:
    """Orders without thought: by what differs between the prompts of the fit part, and at random."""
    said = "sizes of what differs between the prompts"
    size = edge_sizes(run.subject, run.text, part="fit", **run.how(said))
    return without_thought(size, graph, draws, run.settings.seed)


def measure_orders(
    run: Run,
    graph: Graph,
    orders: Sequence[Order],
    sizes: Sequence[float],
    *,
    keeps: float,
    role: Role = "explanation",
) -> tuple[Reading, list[tuple[Card, KeptCurve]]]:
    """What circuits of some sizes keep in every order; `role` is that of those that claim something.

    Returns:
        The circuits, with the corrupted prompts beside them; and of every order its card and curve.
    """
    counts = counts_of(sizes, graph.edges)
    read = run.measure(
        *circuits(run, graph, orders, counts, role=role), needs="logit difference", batch_tokens=BATCH_TOKENS,
        what="running circuits",
    )  # fmt: skip
    corrupted = run.on(run.text.swapped()).measure(
        needs="logit difference", what="running corrupted prompts"
    )
    read = read.beside(CORRUPTED, corrupted)
    cards = [Card(name=o.name, role=o.role, says=o.says, method=o.method) for o in orders]
    curves = [
        read.kept_by_size({n: order.names(n) for n in counts}, graph.edges, keeps=keeps)
        for order in orders
    ]
    return read, list(zip(cards, curves, strict=True))


def require_orders(
    run: Run,
    methods: Sequence[EdgeMethod],
    steps: int,
    by: By,
    sizes: Sequence[float],
    draws: int,
    others: Sequence[str],
) -> None:
    """Refuse what cannot be scored and run, before anything is; `others`: orders by no method.

    Raises:
        CircuitError: The text has no pairs, or the model's components do not add up.
        TextError: A part has no pairs, or they are of another model's tokens.
        MeasurementError: There is no such method, or a number is out of bounds; the model is in half
            precision.
    """
    known = get_args(EdgeMethod)
    for method in methods:
        require_choice("methods", method, known)
    if not methods:
        raise MeasurementError("A circuit by no method", "there is nothing to order edges by",
                               near_matches("", known))  # fmt: skip
    require_once("method", methods)
    require_choice("by", by, get_args(By))
    require_count("steps", steps, least=1)
    require_count("draws", draws, least=1)
    if not sizes or not all(0 < share <= 1 for share in sizes):
        raise MeasurementError(
            f"Circuits of the sizes {', '.join(map(str, sizes)) or '(none)'}",
            "sizes are shares of all edges, above 0 and at most 1",
            "Write 0.05 for 5%.",
        )
    require_once("order of edges", [*methods, *others])
    for method in methods:
        require_edges(run.subject, run.text, method, "logit difference", steps)
    require_sums(run.subject.anatomy)
    run.text.blocks("fit", "Attribution to edges")
    require_tokens(run.subject, run.text, "eval", "fit")
