"""`heads`: where every head looks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from unexplained.cli.outputs import say_forecast
from unexplained.cli.shared import (
    OUT,
    AcceptTerms,
    BlockSize,
    Documents,
    DryRun,
    ModelArgument,
    Seed,
    app,
    require_texts,
    shared_ledgers,
)
from unexplained.telling import ProgressBars

if TYPE_CHECKING:
    from unexplained.record import HeadScore
    from unexplained.study import Run


@app.command()
def heads(
    model: ModelArgument,
    text: Annotated[str, typer.Option(help="Where to look; repeats for the usual scores.")] = (
        "repeats"
    ),
    documents: Documents = 16,
    block: BlockSize = 128,
    show: Annotated[int, typer.Option(min=1, help="How many heads to list.")] = 20,
    twin: Annotated[bool, typer.Option(help="Score the random-weight twin as well.")] = True,
    ablate: Annotated[
        int,
        typer.Option(
            min=0,
            help="Mean-ablate the first so many, each alone (its mean of 8 documents): gain in "
            "context lost.",
        ),
    ] = 0,
    seed: Seed = 0,
    accept_terms: AcceptTerms = False,
    dry_run: DryRun = False,
) -> None:
    """Score every head: induction, previous-token and duplicate-token attention."""
    import unexplained as ux
    from unexplained.study import Run
    from unexplained.study.forecast import Forecast

    require_texts(text)
    subject = ux.load(model, accept_terms=accept_terms)
    where = ux.text(text, subject, documents=documents, fit_documents=8, block=block, seed=seed)

    def measured(run: Run) -> tuple[HeadScore, ...]:
        scores = ux.head_scores(
            subject, where, twin=subject.twin(seed) if twin else None,
            **run.how(f"scoring every head on {where.name}"),
        )  # fmt: skip
        return ux.with_gains(
            subject, where, scores, ablate, settings=run.settings,
            **run.how("ablating each head alone"),
        )  # fmt: skip

    with ProgressBars() as progress:
        run = Run(subject, (where,), ux.Settings(seed=seed), shared_ledgers(), say=progress)
        if dry_run:
            say_forecast(Forecast.of(run, measured))
            return
        scores = measured(run)
    _show(scores[:show], f"{model} on {text}", gains=ablate > 0)


def _show(scores: Sequence[HeadScore], title: str, *, gains: bool) -> None:
    """A table of heads, and what it does not say."""
    from unexplained.record import format as fmt

    table = Table(title=f"Share of attention on each rule's targets: {title}")
    columns = ["head", "induction", "previous token", "duplicate token", "twin: induction"]
    columns += ["gain in context lost (nats per token)"] * gains
    for column in columns:
        table.add_column(column, justify="left" if column == "head" else "right")
    for score in scores:
        beside = "" if score.twin_induction is None else f"{score.twin_induction:.3f}"
        table.add_row(
            score.site,
            f"{score.induction:.3f}",
            f"{score.previous_token:.3f}",
            f"{score.duplicate_token:.3f}",
            beside,
            *([str(fmt.show(score.gain_lost))] if gains else []),
        )
    OUT.print(table)
    OUT.print("A score says where a head looks, not what that does for the loss: use assay.")
