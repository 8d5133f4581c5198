"""`circuit`: how much of a behaviour a circuit of each size keeps, beside circuits of no thought.

Edges are scored on the fit part and circuits measured on the eval part, so that none is measured
on the pairs that chose it. The edges that are not in the circuit carry what the corrupted prompt
would have them carry.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from unexplained.bars.areas import MIB_SIZES, areas, counts_of
from unexplained.bars.measures import measure_of
from unexplained.bars.paired import Paired, paired
from unexplained.bars.recovered import INTACT
from unexplained.circuits.edges import By, EdgeScores, Method, attribute_edges, require_edges
from unexplained.circuits.graph import CircuitError, Graph
from unexplained.circuits.magnitude import edge_sizes
from unexplained.circuits.orders import Order, conditions_of, given_orders, without_thought
from unexplained.circuits.running import Circuits, require_sums
from unexplained.errors import (
    MeasurementError,
    TextError,
    near_matches,
    require_choice,
    require_count,
    require_once,
)
from unexplained.evaluate import evaluate
from unexplained.evaluate.runner import Workers, in_process
from unexplained.ledger import ALL, Ledger
from unexplained.record import CircuitRecord, Curve, EdgeScore, Number, Point
from unexplained.shares import percent
from unexplained.stats import Settings, fraction, mean_per_token
from unexplained.study.asked import require_folder, require_tokens
from unexplained.study.gate import fewest_orbits, gate, require_behaviour
from unexplained.study.provenance import found_again
from unexplained.study.twins import few
from unexplained.subject import Subject
from unexplained.subject.ambient import neutrally
from unexplained.text import Text

SIZES = (0.0002, 0.0005, *MIB_SIZES)
"""Shares of all edges: MIB's sizes (Mueller et al. 2025) and two smaller ones."""

KEEPS = 0.8
"""The share of the behaviour that the knee is about."""

SHOWN = 30
"""How many edges the record names."""

BATCH_TOKENS = 512
"""A circuit holds what every source writes at every position of a batch."""

_MEASURE = measure_of("logit difference", pairs=True)
UNIT, FLOOR = _MEASURE.unit, _MEASURE.floor

SAYS: Mapping[Method, str] = {
    "eap": "the gradient at the clean prompt times the change of each edge",
    "eap-ig-inputs": "the same with gradients averaged over embeddings from corrupted to clean",
    "eap-ig-activations": "the same with gradients averaged over each group's own outputs",
}


@neutrally
def circuit(
    subject: Subject,
    text: Text,
    *,
    methods: Sequence[Method] = ("eap-ig-inputs", "eap"),
    steps: int = 5,
    by: By = "absolute",
    sizes: Sequence[float] = SIZES,
    draws: int = 5,
    given: Mapping[str, NDArray[np.float64]] = MappingProxyType({}),
    gated: bool = True,
    twin: bool = True,
    settings: Settings = Settings(),  # noqa: B008  (frozen)
    folder: Path | None = None,
    workers: Workers = in_process,
    keep_scores: Callable[[Method, EdgeScores], None] = lambda method, scores: None,
    say: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> CircuitRecord:
    """Measure the size–recovery curve of a behaviour.

    Args:
        subject: The model.
        text: Pairs of prompts.
        methods: Edge attributions to order edges by; the first one's edges are listed.
        steps: Points of an average over a path.
        by: Rank by size of the score or by its sign.
        sizes: Shares of all edges.
        draws: Random orders to average over.
        given: Scores by name (edge,) from elsewhere, high for edges to be kept.
        gated: Refuse pairs on which the model prefers the answer no more often than chance.
        twin: Whether to do the same on the random-weight twin, by every method and on few pairs;
            what it takes is in its own record.
        settings: Level, resamples and seed.
        folder: What is finished is kept here and found again.
        workers: Who does the work: this process, or those of a cluster.
        keep_scores: Given every method's scores, to export them.
        say: Told about progress.

    Raises:
        CircuitError: The text has no pairs, the model's components do not add up, or given scores
            are of another model.
        TextError: There are too few pairs for the gate, or they are of another model's tokens.
        MeasurementError: There is no such method, or a number is out of bounds; the model is in
            half precision; it does not have the behaviour. All but the last before anything is run.
    """
    graph = Graph.of(subject.shape, parallel=subject.anatomy.parallel)
    _require_numbers(methods, steps, by, sizes, draws)
    _require_given(given, graph, methods)
    for method in methods:
        require_edges(subject, text, method, "margin", steps)
    require_sums(subject.anatomy)
    text.blocks("fit", "Attribution to edges")
    require_tokens(subject, text, "eval", "fit")
    if gated and len(text.units) < (fewest := fewest_orbits(settings.level)):
        raise TextError(
            f"A circuit on {len(text.units)} pairs of {text.name}, each with its role-swap",
            f"it takes {fewest} to tell whether the model has the behaviour",
            f"Ask for {2 * fewest} prompts or more (pairs=…; --pairs). Of a file of your "
            'own lines with "part": "fit" are scored and the others measured; without such lines a '
            "fifth is measured, by hash: then give more, or mark some. Or leave out the gate "
            "(gated=False; --no-gate).",
        )
    require_folder(folder, subject)
    job = _Job(subject, text, graph, methods, steps, by, sizes, settings, folder, workers, say)
    record = _recorded(job, draws=draws, given=given, gated=gated, keep_scores=keep_scores)
    if not twin:
        return record
    other = replace(
        job, subject=subject.twin(settings.seed), text=few(text),
        say=lambda what, done, total: say(f"{what}, random weights", done, total),
    )  # fmt: skip
    return record.model_copy(update={"twin": _recorded(other)})


@dataclass(frozen=True)
class _Job:
    """What a circuit was asked for, and of which model."""

    subject: Subject
    text: Text
    graph: Graph
    methods: Sequence[Method]
    steps: int
    by: By
    sizes: Sequence[float]
    settings: Settings
    folder: Path | None
    workers: Workers
    say: Callable[[str, int, int], None]


def _recorded(
    job: _Job,
    *,
    draws: int = 0,
    given: Mapping[str, NDArray[np.float64]] = MappingProxyType({}),
    gated: bool = False,
    keep_scores: Callable[[Method, EdgeScores], None] = lambda method, scores: None,
) -> CircuitRecord:
    """Score, run and read; without draws there are no orders without thought."""
    started = time.perf_counter()
    subject, text, graph = job.subject, job.text, job.graph
    found = gate(subject, text, settings=job.settings, folder=job.folder)
    if gated:
        require_behaviour(found, subject, text)
    scores = {}
    for method in job.methods:
        scores[method] = attribute_edges(
            subject, text, method=method, steps=job.steps, part="fit", folder=job.folder,
            workers=job.workers, progress=partial(job.say, f"scoring edges by {method}"),
        )  # fmt: skip
        keep_scores(method, scores[method])
    orders = [
        *(Order(m, SAYS[m], "attribution", (s.ranking(by=job.by),)) for m, s in scores.items()),
        *given_orders(given, graph, job.by),
        *(_without_thought(job, draws) if draws else ()),
    ]
    counts = counts_of(job.sizes, graph.edges)
    reading = _measured(job, orders, counts)
    curves = tuple(reading.curve(order, counts, graph.edges) for order in orders)
    return CircuitRecord(
        title=f"Circuits for {text.name} in {subject.name}",
        verdict=_verdict(curves, text, graph),
        text=text.name,
        text_fingerprint=text.fingerprint,
        text_notes=text.notes,
        pairs=len(text.eval),
        orbits=len(text.units),
        fit_pairs=len(text.fit),
        edges=graph.edges,
        clean=reading.margin(reading.clean),
        corrupted=reading.margin(reading.corrupted),
        gap=reading.margin(reading.clean - reading.corrupted),
        accuracy=found.accuracy,
        by=job.by,
        curves=curves,
        top=_top(scores[job.methods[0]], job.by),
        method=job.methods[0],
        **found_again(subject, job.settings, started),
    )


def _require_numbers(
    methods: Sequence[str], steps: int, by: str, sizes: Sequence[float], draws: int
) -> None:
    for method in methods:
        require_choice("methods", method, SAYS)
    require_once("method", methods)
    if not methods:
        raise MeasurementError("A circuit by no method", "there is nothing to order edges by",
                               near_matches("", SAYS))  # fmt: skip
    require_choice("by", by, get_args(By))
    require_count("steps", steps, least=1)
    require_count("draws", draws, least=1)
    if not sizes or not all(0 < share <= 1 for share in sizes):
        raise MeasurementError(
            f"Circuits of the sizes {', '.join(map(str, sizes)) or '(none)'}",
            "sizes are shares of all edges, above 0 and at most 1",
            "Write 0.05 for 5%.",
        )


def _require_given(
    given: Mapping[str, NDArray[np.float64]], graph: Graph, methods: Sequence[str]
) -> None:
    for name, values in given.items():
        if values.shape != (graph.edges,):
            raise CircuitError(
                f"The scores '{name}'", f"there are {values.shape} for {graph.edges:,} edges"
            )
    require_once("order of edges", [*methods, *given, "magnitude", "random"])


def _without_thought(job: _Job, draws: int) -> list[Order]:
    size = edge_sizes(
        job.subject, job.text, part="fit", folder=job.folder, workers=job.workers,
        progress=partial(job.say, "sizes of what differs between the prompts"),
    )  # fmt: skip
    return without_thought(size, job.graph, draws, job.settings.seed)


def _measured(job: _Job, orders: Sequence[Order], counts: Sequence[int]) -> _Reading:
    """Run the circuits and the corrupted prompts."""
    subject, text = job.subject, job.text
    conditions, names = conditions_of(Circuits(subject, job.graph), orders, counts)
    ledger = evaluate(
        subject, text, conditions, measure="margin", folder=job.folder, batch_tokens=BATCH_TOKENS,
        workers=job.workers, progress=partial(job.say, "running circuits"),
    )  # fmt: skip
    other = evaluate(
        subject, text.swapped(), [], measure="margin", folder=job.folder, workers=job.workers
    )
    return _Reading(ledger, other, names, job.settings)


def _top(scores: EdgeScores, by: By) -> tuple[EdgeScore, ...]:
    """The edges that are named; an error that a single orbit does not give is 0."""
    return tuple(
        EdgeScore(
            name=scores.graph.name(edge),
            score=float(scores.mean[edge]),
            error=float(np.nan_to_num(scores.error[edge])),
        )
        for edge in scores.ranking(by=by)[:SHOWN]
    )


@dataclass(frozen=True)
class _Reading:
    """From ledgers to curves."""

    ledger: Ledger
    other: Ledger
    names: Mapping[str, str]
    settings: Settings

    def _read(self, ledger: Ledger, name: str) -> Paired:
        return paired(ledger, "margin", (name,), ALL)

    @cached_property
    def tokens(self) -> NDArray[np.int64]:
        """Pairs in every orbit."""
        return self._read(self.ledger, INTACT).tokens

    @cached_property
    def clean(self) -> NDArray[np.float64]:
        """Sums of the margin over the pairs of every orbit."""
        return self._read(self.ledger, INTACT).columns[0]

    @cached_property
    def corrupted(self) -> NDArray[np.float64]:
        """The same of the corrupted prompts."""
        return self._read(self.other, INTACT).columns[0]

    def margin(self, sums: NDArray[np.float64]) -> Number:
        """Its mean."""
        return mean_per_token(sums, self.tokens, settings=self.settings, unit=UNIT)

    def kept(self, sums: NDArray[np.float64], *, exact: bool = False) -> Number:
        """The share of the behaviour that is there; exact of all edges, and of none.

        Where every orbit's margin is that of the corrupted prompts to the last bit, no path of the
        circuit reaches the end: nothing is there by construction, whatever other pairs would be.
        """
        exact = exact or np.array_equal(sums, self.corrupted)
        return fraction(
            sums - self.corrupted, self.clean - self.corrupted, self.tokens,
            what="margin of the clean less that of the corrupted prompts",
            settings=self.settings, unit=UNIT, exact=exact,
        )  # fmt: skip

    def curve(self, order: Order, counts: Sequence[int], edges: int) -> Curve:
        """An order's curve; of several draws the mean of their margins."""
        points = [self._point(order, count, edges) for count in counts]
        area, distance = areas({p.edges: p.kept for p in points}, edges)
        return Curve(
            name=order.name,
            says=order.says,
            kind=order.kind,
            points=tuple(points),
            area=area,
            distance=distance,
            knee=_knee([(p.edges, p.kept.low) for p in points], edges),
            knee_by_value=_knee([(p.edges, p.kept.value) for p in points], edges),
            draws=order.draws,
            tag="black-box" if order.name == "random" else "internals",
        )

    def _point(self, order: Order, count: int, edges: int) -> Point:
        names = [self.names[order.condition_name(draw, count)] for draw in range(order.draws)]
        sums = np.mean([self._read(self.ledger, name).columns[0] for name in names], axis=0)
        for end in (self.clean, self.corrupted):
            # What differs from an end by rounding alone is that end, and is shown as it.
            sums = np.where(np.abs(sums - end) < FLOOR * self.tokens, end, sums)
        return Point(
            edges=count,
            share=count / edges,
            margin=self.margin(sums),
            kept=self.kept(sums, exact=count in (0, edges)),
        )


def _knee(kept: Sequence[tuple[int, float | None]], edges: int) -> int | None:
    """The smallest measured circuit that keeps enough, as does every larger one.

    A smaller one that does so by chance, with larger ones that do not, is none: sizes are gone
    through from the largest down until one falls short. Tests in an order that is set beforehand
    need no correction for their number (Maurer, Hothorn and Lehmacher 1995).
    """
    found = None
    for count, share in sorted(kept, reverse=True):
        if count >= edges:
            continue
        if share is None or share < KEEPS:
            break
        found = count
    return found


def _verdict(curves: Sequence[Curve], text: Text, graph: Graph) -> str:
    refusals = {p.kept.refused for curve in curves for p in curve.points if p.kept.value is None}
    if refusals:
        return f"What circuits keep of {text.name} is refused: {sorted(refusals)[0]}."

    def said(curve: Curve) -> str:
        if curve.knee is None:
            return f"none short of the whole model by {curve.name}"
        point = next(p for p in curve.points if p.edges == curve.knee)
        return f"{curve.knee:,} by {curve.name} ({percent(point.kept)})"

    return (
        f"Of the {graph.edges:,} edges, the smallest measured circuits that surely keep {KEEPS:.0%} of "
        f"{text.name}, as do all larger ones: " + "; ".join(said(curve) for curve in curves) + "."
    )
