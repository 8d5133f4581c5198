"""`gap`: where the gap between a model and a weaker one lives."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unexplained.cli.progress import Progress
from unexplained.cli.shared import (
    BlockSize,
    Documents,
    FitDocuments,
    Model,
    RecordFile,
    Report,
    Run,
    Seed,
    TextName,
    app,
    kept,
    require_explanations,
    require_models,
    require_stand_ins,
    require_texts,
    writing,
)


@app.command()
def gap(
    context: typer.Context,
    model: Model = "rung-4",
    weak: Annotated[str, typer.Option(help="A weaker model with the same tokenizer.")] = "rung-3",
    by: Annotated[
        tuple[str, str],
        typer.Option(help="A second strong and weak model, which put the tokens in order."),
    ] = ("rung-4-seed-1", "rung-3-seed-1"),
    seeds: Annotated[
        bool, typer.Option(help="Measure other runs of two rungs that ship with several seeds.")
    ] = True,
    sites: Annotated[
        str, typer.Option(help="Components to be explained on the crucial tokens.")
    ] = "",
    explanation: Annotated[
        list[str] | None, typer.Option(help="A library name or my.py; strict induction if none.")
    ] = None,
    share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the tokens that are crucial.")
    ] = 0.05,
    text: TextName = "webmix",
    documents: Documents = 96,
    fit_documents: FitDocuments = 64,
    block: BlockSize = 128,
    seed: Seed = 0,
    report: Report = Path("gap.html"),
    record: RecordFile = Path("gap.json"),
    run: Run = None,
) -> None:
    """How concentrated the gap to a weaker model is: a few tokens, or a little everywhere."""
    import unexplained as ux
    from unexplained.assays.asked import components, require_share
    from unexplained.errors import require_once
    from unexplained.ladder.catalogue import catalogue

    with writing(report, record) as made, Progress() as progress, kept(context, run) as folder:
        require_share(share)
        require_once("model", [model, weak, *by])
        require_texts(text)
        require_explanations(*(explanation or ()))
        require_models(model, weak, *by)
        subject, weaker = ux.load(model), ux.load(weak)
        second = ux.load(by[0]), ux.load(by[1])
        known = {one.name: one for one in (subject, weaker, *second)}
        pairs = catalogue().other_runs(model, weak) if seeds else []
        runs = [(known.get(one) or ux.load(one), known.get(two) or ux.load(two))
                for one, two in pairs]  # fmt: skip
        if sites:
            components(subject, sites)
        where = ux.text(text, subject, documents=documents, fit_documents=fit_documents,
                        block=block, seed=seed)  # fmt: skip
        claims = require_stand_ins(explanation or (), subject, where)
        made.append(
            ux.gap(
                subject, weaker, where, chosen_by=second, runs=runs,
                sites=sites, explanations=claims or None, share=share,
                settings=ux.Settings(seed=seed), folder=folder,
                progress=lambda done, total: progress(f"measuring on {where.name}", done, total),
            )
        )  # fmt: skip
