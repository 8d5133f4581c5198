"""`circuit`: how much of a behaviour a circuit of each size keeps, beside circuits of no thought.

Edges are scored on the fit part and circuits measured on the eval part, so that none is measured
on the pairs that chose it. The edges that are not in the circuit carry what the corrupted prompt
would have them carry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from unexplained.circuits.methods import By, EdgeMethod
from unexplained.errors import require_once
from unexplained.record import Number
from unexplained.record.blocks import (
    Block,
    Prose,
    Role,
    Section,
    Table,
    fact,
    facts,
)
from unexplained.shares import percent
from unexplained.study import Headline, Option, Texts, instrument
from unexplained.study.given import PythonOnly, Unpriced

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from unexplained.bars.by_size import Curves
    from unexplained.bars.reading import Reading
    from unexplained.circuits import EdgeScores, Graph
    from unexplained.circuits.orders import Order
    from unexplained.record.bars import KeptCurve
    from unexplained.study import Run
    from unexplained.text import Text


KEEPS = 0.8
"""The share of the behaviour that the knee is about: drawn as a line of reference beside 0 and 1."""
SHOWN = 60
"""How many edges the record names."""


def _files(given: Mapping[str, Any]) -> None:
    """Refuse methods that are given twice and files that are not there."""
    from unexplained.circuits import require_json
    from unexplained.circuits.graph import CircuitError

    require_once("method", given["methods"] or ())
    compared = given["compare"] or ()
    require_once("graph file", [path.name for path in compared])
    for path in filter(None, (given["graph"], *compared)):
        require_json(path)
    for path in compared:
        if not path.is_file():
            raise CircuitError(f"The graph file {path}", "there is no such file")


@instrument(
    "circuit",
    precise="Scores of edges",
    before=_files,
    texts=Texts("ioi", documents=64, fit_documents=64, pairs=True),
    unpriced=Unpriced(
        "what a circuit keeps is a share of a logit difference on pairs of prompts, no loss on "
        "running text, so that no training compute is equal to it"
    ),
)
def circuit(
    run: Run,
    *,
    methods: Annotated[
        Sequence[EdgeMethod],
        Option("Orders edges; may be given again.", option="--method"),
    ] = ("eap-ig-inputs", "eap"),
    steps: Annotated[int, Option("Points of an average over a path.", least=1)] = 5,
    by: Annotated[By, Option("Rank edges by the size of their score, or its sign.")] = "absolute",
    sizes: Annotated[Sequence[float] | None, PythonOnly()] = None,
    draws: Annotated[int, Option("Random circuits of each size.", least=1)] = 5,
    graph: Annotated[
        Path | None, Option("Write the first method's scores as a MIB graph file.")
    ] = None,
    compare: Annotated[
        Sequence[Path], Option("A MIB graph file whose order of edges is measured as well.")
    ] = (),
    given: Annotated[Mapping[str, NDArray[np.float64]] | None, PythonOnly()] = None,
    gated: Annotated[
        bool, Option("Refuse a behaviour that the model does not have.", option="--gate/--no-gate")
    ] = True,
    twin: Annotated[bool, Option("Measure a model with random weights beside it.")] = True,
) -> Iterator[Block | Headline]:
    """How much of a behaviour a circuit of each size keeps, beside random ones.

    Edges are scored on some pairs and circuits measured on others.

    Args:
        run: The model, and pairs of prompts.
        methods: Edge attributions to order edges by; the first one's edges are listed.
        steps: Points of an average over a path.
        by: Rank by size of the score or by its sign.
        sizes: Shares of all edges; by default those of MIB.
        draws: Random orders to average over.
        graph: Where the first method's scores are written.
        compare: Graph files of which the order is measured too.
        given: Scores by name (edge,) from elsewhere, high for edges to be kept.
        gated: Refuse pairs on which the model prefers the answer no more often than chance.
        twin: Whether to do the same on the random-weight twin, by every method and on few pairs.

    Raises:
        CircuitError: The text has no pairs, the model's components do not add up, or given scores
            are of another model.
        TextError: There are too few pairs for the gate, or they are of another model's tokens.
        MeasurementError: There is no such method, or a number is out of bounds; the model is in
            half precision; it does not have the behaviour. All but the last before anything is run.
    """
    from unexplained.bars.areas import SIZES
    from unexplained.bars.by_size import answer
    from unexplained.circuits import Graph, save_mib
    from unexplained.circuits.orders import given_orders
    from unexplained.study.circuits import attributions, baselines, require_orders
    from unexplained.study.gate import gate, require_behaviour, require_orbits

    mine = Graph.of(run.subject.shape, parallel=run.subject.anatomy.parallel)
    known = {**_read(mine, compare), **(given or {})}
    sizes = SIZES if sizes is None else sizes
    require_orders(run, methods, steps, by, sizes, draws, [*known, "magnitude", "random"])
    if gated:
        require_orbits(run.text, run.settings.level)
    elsewhere = given_orders(known, mine, by)
    has = gate(run)
    if gated:
        require_behaviour(has, run.subject, run.text)
    scores = attributions(run, methods, steps)
    if graph is not None and not run.imagined:
        save_mib(graph, mine, scores[0].cost)
    others = [*elsewhere, *baselines(run, mine, draws)]
    found = _measured(run, has.accuracy, scores, by, sizes, others)
    beside = _of_twin(run, methods, steps, by, sizes) if twin else None
    yield Headline(
        f"Circuits for {run.text.name} in {run.subject.name}",
        _verdict(found.curves, run.text.name),
        _sheet(run, beside),
    )
    yield answer(found.curves, keeps=KEEPS, of=_pairs(run.text))
    yield from _shown(found)
    if beside is not None:
        yield _twin(beside)
    yield from (Prose(words=note, manner="aside") for note in run.text.notes)


def _pairs(text: Text) -> str:
    """How many there are, and how many are independent."""
    return (
        f"{len(text.eval):,} pairs of prompts ({len(text.units):,} with role-swaps counted as one)"
    )


def _read(graph: Graph, paths: Sequence[Path]) -> dict[str, NDArray[np.float64]]:
    """Scores of graph files, by the files' names."""
    from unexplained.circuits import load_mib, require_scores

    require_once("graph file", [path.name for path in paths])
    return {path.name: require_scores(path, load_mib(path, graph)) for path in paths}


@dataclass(frozen=True)
class _Found:
    """What was measured of a model, or of its twin."""

    run: Run
    accuracy: Number
    scores: EdgeScores
    """By the first method."""
    by: By
    read: Reading
    curves: Curves


def _measured(
    run: Run,
    accuracy: Number,
    scores: Sequence[EdgeScores],
    by: By,
    sizes: Sequence[float],
    others: Sequence[Order] = (),
    *,
    role: Role = "explanation",
) -> _Found:
    """What circuits keep in the orders by attributions, which claim something, and in some others."""
    from unexplained.circuits.orders import attributed
    from unexplained.study.circuits import measure_orders

    orders = [*attributed(scores, by), *others]
    read, curves = measure_orders(run, scores[0].graph, orders, sizes, keeps=KEEPS, role=role)
    return _Found(run, accuracy, scores[0], by, read, curves)


def _of_twin(
    run: Run, methods: Sequence[EdgeMethod], steps: int, by: By, sizes: Sequence[float]
) -> _Found:
    """The same attributions on a model with random weights and few pairs, against its own logit differences."""
    from unexplained.study.circuits import attributions
    from unexplained.study.gate import gate
    from unexplained.study.twins import TWIN, few

    with run.timed(TWIN):
        there = replace(
            run.of(run.subject.twin(run.settings.seed)).on(few(run.text)),
            say=lambda what, done, total: run.say(f"{what}, random weights", done, total),
        )
        has = gate(there)
        scores = attributions(there, methods, steps)
        return _measured(there, has.accuracy, scores, by, sizes, role="twin")


def _verdict(curves: Curves, text: str) -> str:
    refusals = {p.kept.refused for _, curve in curves for p in curve.points if p.kept.value is None}
    if refusals:
        return f"What circuits keep of {text} is refused: {sorted(refusals)[0]}."

    def said(names: Sequence[str], curve: KeptCurve) -> str:
        by = f"by {', '.join(names)}"
        if curve.knee is None:
            return f"{by} none short of the whole model does"
        point = next(p for p in curve.points if p.edges == curve.knee)
        edges = "edge" if curve.knee == 1 else "edges"
        return f"{by} it has {curve.knee:,} {edges} ({percent(point.kept)})"

    none = [card.name for card, curve in curves if curve.knee is None]
    found = [said([card.name], curve) for card, curve in curves if curve.knee is not None]
    found += [said(none, next(c for _, c in curves if c.knee is None))] if none else []
    return (
        f"The smallest measured circuit that keeps {KEEPS:.0%} of {text} with its whole interval, as does "
        f"every larger one, of {curves[0][1].edges:,} edges: " + "; ".join(found) + "."
    )


def _sheet(run: Run, twin: _Found | None) -> dict[str, str]:
    """What was measured on."""
    found = {f"Pairs {run.text.name}": run.text.fingerprint}
    if twin is not None:
        subject, text = twin.run.subject, twin.run.text
        found[subject.name] = subject.fingerprint
        found[f"Pairs {text.name}, for random weights"] = text.fingerprint
    return found


def _shown(found: _Found, *, twin: bool = False) -> Iterator[Block]:
    """Facts, curves and edges."""
    from unexplained.bars.by_size import kept_section
    from unexplained.bars.scores import EdgeScore, greatest

    scores, graph = found.scores, found.scores.graph
    top = [
        EdgeScore(graph.address(edge), float(scores.mean[edge]), float(scores.error[edge]))
        for edge in scores.ranking(by=found.by)[:SHOWN]
    ]
    yield _facts(found)
    yield kept_section(found.curves, len(found.run.text.units), keeps=KEEPS, folded=twin)
    yield greatest(top, graph.edges, scores.method, by=found.by, folded=twin)


def _facts(found: _Found) -> Table:
    from unexplained.bars.kept import CORRUPTED

    run, read, text = found.run, found.read, found.run.text
    ranked = (
        "by the size of the score, whatever its sign"
        if found.by == "absolute"
        else "by the sign of the score, those that help first"
    )
    clean, corrupted = read.logit_difference(), read.logit_difference(CORRUPTED)
    gap = read.logit_difference(less=CORRUPTED)
    return facts(
        "facts",
        fact("model", "Model", run.subject.name),
        fact("behaviour", "Behaviour", text.name),
        fact("pairs", "Pairs of prompts", len(text.eval)),
        fact("orbits", "Orbits of pairs", len(text.units)),
        fact("fit-pairs", "Other pairs, on which edges were scored", len(text.fit)),
        fact("accuracy", "Prefers the answer", found.accuracy, "of pairs"),
        fact("clean", "Logit difference, clean prompts", clean),
        fact("corrupted", "Logit difference, corrupted prompts", corrupted),
        fact("gap", "Clean less corrupted: what shares are divided by", gap),
        fact("edges", "Edges", found.scores.graph.edges),
        fact("ranked", "Ranked", ranked),
    )


def _verdict_of_twin(curves: Curves, text: str) -> str:
    if all(p.kept.value is None for _, curve in curves for p in curve.points):
        return "Nothing is there to be kept: every share was refused."
    return _verdict(curves, text)


def _twin(twin: _Found) -> Section:
    text = twin.run.text
    found = f"On {len(text.eval):,} pairs: {_verdict_of_twin(twin.curves, text.name)}"
    return Section(
        key="twin",
        title="The same with random weights",
        blocks=(Prose(words=found), *_shown(twin, twin=True)),
    )
