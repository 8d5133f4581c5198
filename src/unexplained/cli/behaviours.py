"""`behaviours`: which behaviours there are, and which a model has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from unexplained.cli.outputs import say_forecast
from unexplained.cli.shared import OUT, AcceptTerms, DryRun, Seed, app, shared_ledgers
from unexplained.telling import ProgressBars

if TYPE_CHECKING:
    from unexplained.study import Run
    from unexplained.study.gate import Gate
    from unexplained.text import Text

Pairs = Annotated[int, typer.Option(min=2, help="Pairs to measure on, role-swaps included.")]


@app.command()
def behaviours(
    model: Annotated[
        str, typer.Argument(help="Try them on this model; without one they are only listed.")
    ] = "",
    pairs: Pairs = 64,
    seed: Seed = 0,
    accept_terms: AcceptTerms = False,
    dry_run: DryRun = False,
) -> None:
    """List the behaviours, and how often a model prefers the right answer."""
    import unexplained as ux
    from unexplained.errors import MeasurementError
    from unexplained.study import Run
    from unexplained.study.forecast import Forecast
    from unexplained.study.gate import gate
    from unexplained.text.pairs import described, left_by_tokenizer

    says = described()
    if not model:
        if dry_run:
            what = "nothing is measured where no model is named"
            raise MeasurementError("--dry-run of behaviours", what, "Name a model.")
        _print("Behaviours: pairs of prompts, each with its role-swap", says, {})
        return
    subject = ux.load(model, accept_terms=accept_terms)
    left = {name: left_by_tokenizer(name, subject) for name in says}
    texts = {
        name: ux.pairs(name, subject, pairs=min(pairs, there), fit_pairs=0, seed=seed)
        for name, (there, _) in left.items()
        if there >= 2
    }

    def measured(run: Run) -> dict[str, Gate]:
        return {name: gate(run.on(text)) for name, text in texts.items()}

    with ProgressBars() as progress:
        every: tuple[Text, ...] = tuple(texts.values())
        run = Run(subject, every, ux.Settings(seed=seed), shared_ledgers(), say=progress)
        if dry_run:
            say_forecast(Forecast.of(run, measured))
            return
        found = measured(run)
    title = (
        "Behaviours: pairs of prompts, each with its role-swap; each held against chance by itself"
    )
    _print(title, says, {
        name: _cells(found.get(name), there, pairs, passed) for name, (there, passed) in left.items()
    })  # fmt: skip


def _cells(found: Gate | None, there: int, pairs: int, passed: Sequence[str]) -> list[str]:
    """Accuracy, logit difference, and what is to be said of them."""
    from unexplained.record import format as fmt

    if found is None:
        return [fmt.MISSING, fmt.MISSING, f"tokenization leaves no pairs: {' '.join(passed)}"]
    fewer = [f"{there} pairs left by tokenization"] if there < pairs - pairs % 2 else []
    said = "; ".join([*filter(None, [found.fails]), *fewer])
    return [str(fmt.show(found.accuracy)), str(fmt.show(found.logit_difference)), said]


def _print(title: str, says: dict[str, str], cells: dict[str, list[str]]) -> None:
    table = Table(title=title)
    for column in ("name", "what", *(("accuracy", "logit difference", "") if cells else ())):
        table.add_column(column)
    for name, words in says.items():
        table.add_row(name, words, *cells.get(name, []))
    OUT.print(table)
