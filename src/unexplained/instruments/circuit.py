"""`circuit`: what a circuit of each size keeps, and the edges with the greatest scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from unexplained.errors import require_once
from unexplained.record import CircuitRecord, Curve, EdgeScore, Number
from unexplained.record import Point as Circuit
from unexplained.record import blocks as b
from unexplained.record import format as fmt
from unexplained.record.blocks import (
    Block,
    Cell,
    Chart,
    Column,
    Forest,
    Point,
    Prose,
    Row,
    Ruler,
    Section,
    Series,
    Table,
    Track,
    facts,
)
from unexplained.study import Headline, Option, Texts, instrument
from unexplained.study.given import PythonOnly
from unexplained.study.instrument import told

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from unexplained.circuits import EdgeScores
    from unexplained.study import Run

KEEPS = 0.8
"""The knee is where this is kept: drawn as a line of reference beside 0 and 1."""
LOWEST, HIGHEST = -0.5, 1.5
"""Shares of the behaviour beyond which the chart does not go: circuits can fall far below."""
FIRST = 10
"""Edges that the terminal names unasked."""
NONE = "none"


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
    "circuit", before=_files, texts=Texts("ioi", documents=64, fit_documents=64, pairs=True)
)
def circuit(
    run: Run,
    *,
    methods: Annotated[
        Sequence[Literal["eap", "eap-ig-inputs", "eap-ig-activations"]],
        Option("Orders edges; may be given again.", option="--method"),
    ] = ("eap-ig-inputs", "eap"),
    steps: Annotated[int, Option("Points of an average over a path.", least=1)] = 5,
    by: Annotated[
        Literal["absolute", "signed"], Option("Rank edges by the size of their score, or its sign.")
    ] = "absolute",
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
) -> Iterator[b.Block | Headline]:
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
        UnexplainedError: As `assays.circuit`, all that can be told before anything is run.
    """
    from unexplained.assays.circuit import SIZES
    from unexplained.assays.circuit import circuit as measured

    found = measured(
        run.subject, run.text, methods=methods, steps=steps, by=by, sizes=sizes or SIZES, draws=draws,
        gated=gated, twin=twin, settings=run.settings, folder=run.folder, workers=run.workers,
        given={**_read(run, compare), **(given or {})}, keep_scores=_writer(methods[0], graph),
        say=run.say,
    )  # fmt: skip
    yield from told(run, found, blocks(found), sheet(found))


def _read(run: Run, paths: Sequence[Path]) -> dict[str, NDArray[np.float64]]:
    """Scores of graph files, by the files' names."""
    from unexplained.circuits import Graph, load_mib, require_scores

    require_once("graph file", [path.name for path in paths])
    mine = Graph.of(run.subject.shape, parallel=run.subject.anatomy.parallel)
    return {path.name: require_scores(path, load_mib(path, mine)) for path in paths}


def _writer(first: str, graph: Path | None) -> Callable[[str, EdgeScores], None]:
    """Writes the first method's scores where they are wanted."""

    def keep(name: str, scores: EdgeScores) -> None:
        from unexplained.circuits import save_mib

        if graph is not None and name == first:
            save_mib(graph, scores.graph, scores.cost)

    return keep


def blocks(record: CircuitRecord) -> Iterator[b.Block]:
    """What was found, as blocks."""
    yield _facts(record)
    if record.curves:
        yield _sizes(record)
    if record.top:
        yield _edges(record)
    if record.twin is not None:
        yield _twin(record.twin)
    yield from (b.Prose(words=note, manner="aside") for note in record.text_notes)


def sheet(record: CircuitRecord) -> dict[str, str]:
    """What was measured on."""
    found = {f"Pairs {record.text}": record.text_fingerprint}
    if (twin := record.twin) is not None:
        found |= {
            twin.subject: twin.subject_fingerprint,
            f"Pairs {twin.text}, for random weights": twin.text_fingerprint,
        }
    return found


def _facts(record: CircuitRecord, *more: Row) -> Table:
    ranked = (
        "by the size of the score, whatever its sign"
        if record.by == "absolute"
        else "by the sign of the score, those that help first"
    )
    return facts(
        "facts",
        Row(key="model", name="Model", cells=(record.subject,)),
        Row(key="behaviour", name="Behaviour", cells=(record.text,)),
        Row(key="pairs", name="Pairs of prompts", cells=(record.pairs,)),
        Row(key="orbits", name="Orbits of pairs", cells=(record.orbits,)),
        Row(
            key="fit-pairs",
            name="Other pairs, on which edges were scored",
            cells=(record.fit_pairs,),
        ),
        Row(key="accuracy", name="Prefers the answer", note="of pairs", cells=(record.accuracy,)),
        Row(key="clean", name="Margin, clean prompts", cells=(record.clean,)),
        Row(key="corrupted", name="Margin, corrupted prompts", cells=(record.corrupted,)),
        Row(
            key="gap", name="Clean less corrupted: what shares are divided by", cells=(record.gap,)
        ),
        Row(key="edges", name="Edges", cells=(record.edges,)),
        Row(key="ranked", name="Ranked", cells=(ranked,)),
        *more,
    )


def _sizes(record: CircuitRecord, *, twin: bool = False) -> Section:
    kept = _by_size(
        record,
        "kept",
        lambda circuit: circuit.kept,
        title="All numbers",
        caption="Kept by the first so many edges in each order, with its interval over "
        f"{record.orbits:,} orbits.",
        shaded=True,
    )
    margin = _by_size(
        record,
        "margin",
        lambda circuit: circuit.margin,
        title="Margins",
        caption=f"Margin under the first so many edges in each order, {record.gap.unit}.",
        folded=True,
    )
    return Section(
        key="sizes",
        title="What a circuit of each size keeps",
        folded=twin,
        blocks=(*(() if twin else _means()), _chart(record, kept), kept, *_orders(record), margin),
    )


def _means() -> tuple[Block, ...]:
    return (
        Prose(
            words="The edges in a circuit carry what they carry on the clean prompt, all others what "
            "they carry on the corrupted prompt. Kept (its faithfulness): (margin of the circuit − "
            "margin on the corrupted prompts) ÷ (margin on the clean prompts − margin on the "
            "corrupted prompts). Neither 0 nor 100% is a limit: a circuit can do worse than the "
            "corrupted prompt and better than the whole model."
        ),
        Prose(
            words="Edges were scored on other pairs than those that circuits are measured on. "
            "Baselines, in grey, order the same edges without an attribution."
        ),
    )


def _by_size(
    record: CircuitRecord, key: str, of: Callable[[Circuit], Number], **how: object
) -> Table:
    """A row for each size and a column for each order."""
    every = [{circuit.edges: circuit for circuit in curve.points} for curve in record.curves]
    shares = {circuit.edges: circuit.share for found in every for circuit in found.values()}
    return Table.model_validate(
        {
            "key": key,
            "corner": "Edges",
            "columns": tuple(
                Column(key=curve.name, heading=curve.name, style="share" if key == "kept" else "plain")
                for curve in record.curves
            ),
            "rows": tuple(
                Row(
                    key=str(edges),
                    name=f"{edges:,}",
                    note=fmt.part(share),
                    cells=tuple(of(found[edges]) if edges in found else None for found in every),
                )
                for edges, share in sorted(shares.items())
            ),
            **how,
        }
    )  # fmt: skip


def _chart(record: CircuitRecord, table: Table) -> Chart:
    hues = [curve.name for curve in record.curves if curve.kind == "attribution"]
    keeps = fmt.tick(KEEPS, share=True)
    return Chart(
        key="curve",
        caption="0%: the corrupted prompts; 100%: the clean ones. A ring is the smallest measured "
        f"circuit that keeps {keeps} with its whole interval, a dotted ring the smallest that does "
        "so by its value alone; the whole model has none. Circuits are measured on the same pairs, "
        "so that two whose intervals overlap can still differ.",
        across=Ruler(label="share of all edges, and their number", spacing="tenfold",
                     written="share", whole=record.edges),
        up=Ruler(label="kept", written="share", solid=(0.0, KEEPS, 1.0), least=LOWEST, most=HIGHEST),
        series=tuple(
            Series(
                name=curve.name,
                says=curve.says,
                tag=", ".join(["baseline"] * (curve.kind == "baseline") + [fmt.METHODS[curve.tag]]),
                role="baseline" if curve.kind == "baseline" else "",
                hue=hues.index(curve.name) if curve.kind == "attribution" else 0,
                dashed=curve.kind == "baseline",
                band=True,
                points=tuple(
                    Point(x=circuit.share, y=table.at(str(circuit.edges), curve.name),
                          ring=_ring(curve, circuit))
                    for circuit in curve.points
                ),
            )
            for curve in record.curves
        ),
    )  # fmt: skip


def _ring(curve: Curve, circuit: Circuit) -> Literal["", "solid", "dotted"]:
    if circuit.share >= 1:  # The whole model keeps everything: no finding.
        return ""
    if circuit.edges == curve.knee:
        return "solid"
    return "dotted" if circuit.edges == curve.knee_by_value else ""


def _orders(record: CircuitRecord) -> tuple[Block, ...]:
    """Areas, distances and knees."""
    keeps = fmt.tick(KEEPS, share=True)

    def row(curve: Curve) -> tuple[Cell, ...]:
        knees = (NONE if knee is None else knee for knee in (curve.knee, curve.knee_by_value))
        return (curve.area, curve.distance, *knees, fmt.METHODS[curve.tag])

    return (
        Table(
            key="orders",
            title="Each order in short",
            caption=f"Knee: the smallest measured circuit that keeps {keeps} with its whole "
            "interval, as does every larger one; by value: by the value alone. None: none short of "
            "the whole model.",
            corner="Order",
            columns=(
                Column(key="area", heading="Area", note="CPR"),
                Column(key="distance", heading="Distance from 100%", note="CMD"),
                Column(key="knee", heading="Knee", note="edges"),
                Column(key="knee-by-value", heading="Knee by value", note="edges"),
                Column(key="method", heading="Method", words=True),
            ),
            rows=tuple(
                Row(key=curve.name, name=curve.name, note="baseline: " * (curve.kind == "baseline") + curve.says,
                    role="baseline" if curve.kind == "baseline" else "", cells=row(curve))
                for curve in record.curves
            ),
        ),
        Prose(
            words="Area and distance are taken over the share of edges on a linear scale and from "
            "0.1% of the edges on, as MIB takes them, so that large circuits weigh most; they have "
            "no intervals. Distance 0: everything is kept at every size. A dash: there was too "
            "little to take it over.",
            manner="aside",
        ),
    )  # fmt: skip


def _edges(record: CircuitRecord, *, twin: bool = False) -> Section:
    unit, many = record.gap.unit, len(record.top)
    table = Table(
        key="scores",
        title="Scores",
        corner="Edge",
        columns=(
            Column(key="score", heading="Score", note=f"{unit}, two standard errors either way"),
            Column(key="error", heading="Standard error", note="over orbits"),
        ),
        rows=tuple(
            Row(key=edge.name, name=edge.name, cells=(_score(edge, unit), edge.error or None))
            for edge in record.top
        ),
        folded=True,
        lead=FIRST,
    )
    forest = Forest(
        key="forest",
        share=False,
        tracks=tuple(
            Track(
                name=edge.name,
                note="within two standard errors of zero" * _is_open(edge),
                role="baseline" if _is_open(edge) else "ablation",
                marks=(table.at(edge.name, "score"),),
            )
            for edge in record.top
        ),
    )
    open_ones = sum(map(_is_open, record.top))
    near = (
        f"{open_ones} of these {many} {'is' if open_ones == 1 else 'are'}" if open_ones else
        "None of these is"
    )  # fmt: skip
    first = ", by size" if record.by == "absolute" else ", those that help first"
    says = Prose(
        words=f"Scored by {record.method}; the first {many} of {record.edges:,}{first}. A score is "
        f"an estimate of how the logit difference would change, in {unit}, if that edge alone "
        "carried what it carries on the corrupted prompt. Below 0: the edge helps. It is a "
        "first-order estimate, not an effect that was measured; being the largest of many, these "
        "scores flatter."
    )
    names = Prose(
        words=f"Lines are two standard errors over orbits either way. {near} within two standard "
        "errors of zero: grey. In an edge's name a5.h3 is head 3 of layer 5, m5 that layer's MLP, "
        "and q, k and v what a head's queries, keys and values read."
    )
    return Section(
        key="edges",
        title="The edges with the greatest scores",
        folded=twin,
        blocks=((says,) if twin else (says, names)) + (forest, table),
    )


def _score(edge: EdgeScore, unit: str) -> Number:
    """A score with two standard errors either way; without where a single orbit gave it none."""
    low, high = edge.score - 2 * edge.error, edge.score + 2 * edge.error
    if edge.error <= 0:
        return Number(value=edge.score, unit=unit)
    return Number(value=edge.score, low=low, high=high, unit=unit)


def _is_open(edge: EdgeScore) -> bool:
    """Whether a score is within two standard errors of zero."""
    return abs(edge.score) <= 2 * edge.error


def _twin(twin: CircuitRecord) -> Section:
    """The same attributions on a model with random weights, against its own margins."""
    keeps = any(circuit.kept.value is not None for curve in twin.curves for circuit in curve.points)
    found = twin.verdict if keeps else "Nothing is there to be kept: every share was refused."
    blocks: list[Block] = [
        Prose(words=f"On {twin.pairs:,} pairs: {found}"),
        _facts(twin, Row(key="seconds", name="Took, seconds more", cells=(twin.seconds,))),
    ]
    if twin.curves:
        blocks.append(_sizes(twin, twin=True))
    if twin.top:
        blocks.append(_edges(twin, twin=True))
    return Section(key="twin", title="The same with random weights", blocks=tuple(blocks))
