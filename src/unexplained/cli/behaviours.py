"""`behaviours`: which behaviours there are, and which a model has."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from unexplained.cli.shared import (
    OUT,
    Seed,
    Terms,
    app,
)

Pairs = Annotated[int, typer.Option(min=2, help="Pairs to measure on, role-swaps included.")]


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
    from unexplained.record import format as fmt
    from unexplained.study import Run
    from unexplained.study.gate import gate
    from unexplained.text.pairs import described, left_by_tokenizer

    title = "Behaviours: pairs of prompts, each with its role-swap"
    table = Table(title=title + "; each held against chance by itself" * bool(model))
    for column in ("name", "what", *(("accuracy", "logit difference", "") if model else ())):
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
            found = gate(Run(subject, (text,), ux.Settings(seed=seed)))
            fewer = [f"{there} pairs left by tokenization"] if there < pairs - pairs % 2 else []
            row += [
                str(fmt.show(found.accuracy)),
                str(fmt.show(found.margin)),
                "; ".join([*filter(None, [found.fails]), *fewer]),
            ]
        table.add_row(*row)
    OUT.print(table)
