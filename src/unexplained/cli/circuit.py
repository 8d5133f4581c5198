"""`circuit` and `behaviours`: what a behaviour runs through, and which behaviours a model has."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from unexplained.cli.progress import Progress
from unexplained.cli.shared import (
    OUT,
    Gate,
    Model,
    RecordFile,
    Report,
    Run,
    Seed,
    Terms,
    Twin,
    app,
    kept,
    require_texts,
    writing,
)

if TYPE_CHECKING:
    from unexplained.circuits import EdgeScores


class Attribution(StrEnum):
    """Ways of scoring edges."""

    EAP = "eap"
    IG_INPUTS = "eap-ig-inputs"
    IG_ACTIVATIONS = "eap-ig-activations"


Pairs = Annotated[int, typer.Option(min=2, help="Pairs to measure on, role-swaps included.")]


@app.command()
def circuit(
    context: typer.Context,
    model: Model,
    text: Annotated[
        str, typer.Option(help="A behaviour such as ioi, or a .jsonl file of pairs.")
    ] = ("ioi"),
    pairs: Pairs = 64,
    fit_pairs: Annotated[int, typer.Option(min=2, help="Other pairs, to score edges on.")] = 64,
    method: Annotated[
        list[Attribution] | None, typer.Option(help="Orders edges; may be given again.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Points of an average over a path.")] = 5,
    signed: Annotated[
        bool, typer.Option(help="Rank edges by the sign of their score, not by its size.")
    ] = False,
    draws: Annotated[int, typer.Option(min=1, help="Random circuits of each size.")] = 5,
    graph: Annotated[
        Path | None, typer.Option(help="Write the first method's scores as a MIB graph file.")
    ] = None,
    compare: Annotated[
        list[Path] | None,
        typer.Option(help="A MIB graph file whose order of edges is measured as well."),
    ] = None,
    gate: Gate = True,
    twin: Twin = True,
    run: Run = None,
    seed: Seed = 0,
    report: Report = Path("circuit.html"),
    record: RecordFile = Path("circuit.json"),
    accept_terms: Terms = False,
) -> None:
    """How much of a behaviour a circuit of each size keeps, beside random ones.

    Edges are scored on some pairs and circuits measured on others.
    """
    import unexplained as ux
    from unexplained.circuits import Graph, load_mib, require_json, require_scores, save_mib
    from unexplained.errors import require_once

    methods: list[Any] = [one.value for one in method or (Attribution.IG_INPUTS, Attribution.EAP)]
    with (
        writing(report, record, graph=graph) as made,
        Progress() as progress,
        kept(context, run) as folder,
    ):
        require_once("method", methods)
        require_once("graph file", [path.name for path in compare or ()])
        require_texts(text, pairs=True)
        for path in filter(None, (graph, *(compare or ()))):
            require_json(path)
        for path in compare or ():
            _require_file(path)
        subject = ux.load(model, accept_terms=accept_terms)
        where = ux.pairs(text, subject, pairs=pairs, fit_pairs=fit_pairs, seed=seed)

        def export(name: str, scores: EdgeScores) -> None:
            if graph is not None and name == methods[0]:
                save_mib(graph, scores.graph, scores.cost)

        mine = Graph.of(subject.shape, parallel=subject.anatomy.parallel)
        given = {path.name: require_scores(path, load_mib(path, mine)) for path in compare or ()}
        found = ux.circuit(
            subject, where, methods=methods, steps=steps, by="signed" if signed else "absolute",
            draws=draws, given=given, gated=gate, twin=twin, settings=ux.Settings(seed=seed), folder=folder,
            keep_scores=export, say=progress,
        )  # fmt: skip
        made.append(found)


def _require_file(path: Path) -> None:
    from unexplained.circuits.graph import CircuitError

    if not path.is_file():
        raise CircuitError(f"The graph file {path}", "there is no such file")


@app.command()
def behaviours(
    model: Annotated[
        str, typer.Argument(help="Try them on this model; without one they are only listed.")
    ] = "",
    pairs: Pairs = 64,
    seed: Seed = 0,
    accept_terms: Terms = False,
) -> None:
    """List the behaviours, and how often a model prefers the right answer."""
    import unexplained as ux
    from unexplained.assays.gate import gate as measured
    from unexplained.record import format as fmt
    from unexplained.text.pairs import described, left_by_tokenizer

    title = "Behaviours: pairs of prompts, each with its role-swap"
    table = Table(title=title + "; each held against chance by itself" * bool(model))
    for column in ("name", "what", *(("accuracy", "margin (logits)", "") if model else ())):
        table.add_column(column)
    subject = ux.load(model, accept_terms=accept_terms) if model else None
    for name, says in described().items():
        row = [name, says]
        if subject is not None:
            there, passed = left_by_tokenizer(name, subject)
            if there < 2:
                said = f"tokenization leaves no pairs: {' '.join(passed)}"
                table.add_row(*row, "–", "–", said)
                continue
            text = ux.pairs(name, subject, pairs=min(pairs, there), fit_pairs=0, seed=seed)
            found = measured(subject, text, settings=ux.Settings(seed=seed))
            fewer = [f"{there} pairs left by tokenization"] if there < pairs - pairs % 2 else []
            row += [
                str(fmt.show(found.accuracy)),
                str(fmt.show(found.margin)),
                "; ".join([*filter(None, [found.fails]), *fewer]),
            ]
        table.add_row(*row)
    OUT.print(table)
