"""`rewrite` and `sizes`: whole models replaced by explanations, and the same over a ladder."""

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
    Terms,
    TextName,
    app,
    kept,
    require_explanations,
    require_same,
    require_texts,
    writing,
)


@app.command()
def rewrite(
    context: typer.Context,
    model: Model,
    sites: Annotated[
        str, typer.Option(help='What may be replaced: "L*.H*", or with MLPs "L*.H* L*.mlp".')
    ] = "L*.H*",
    text: TextName = "webmix",
    program: Annotated[
        list[str] | None,
        typer.Option(help="my.py: a program for the whole model; may be given again."),
    ] = None,
    draws: Annotated[int, typer.Option(min=1, help="Random orders.")] = 3,
    documents: Documents = 96,
    fit_documents: FitDocuments = 64,
    block: BlockSize = 128,
    seed: Seed = 0,
    report: Report = Path("rewrite.html"),
    record: RecordFile = Path("rewrite.json"),
    run: Run = None,
    accept_terms: Terms = False,
) -> None:
    """Replace random components by stated explanations, until all are, beside weaker models.

    For every head the best of the library's rules is chosen on the fit part; MLPs have no
    stated explanation and are replaced by their mean.
    """
    import unexplained as ux
    from unexplained.ladder.conditions import weaker_models
    from unexplained.study.asked import components

    with writing(report, record) as made, Progress() as progress, kept(context, run) as folder:
        require_texts(text)
        require_explanations(*(program or ()))
        subject = ux.load(model, accept_terms=accept_terms)
        components(subject, sites)
        where = ux.text(text, subject, documents=documents, fit_documents=fit_documents,
                        block=block, seed=seed)  # fmt: skip
        programs = require_same(program or (), subject, where)
        made.append(
            ux.rewrite(subject, where, sites, weaker=weaker_models(subject, where),
                       programs=programs, draws=draws,
                       settings=ux.Settings(seed=seed), folder=folder, say=progress)
        )  # fmt: skip


@app.command()
def sizes(
    context: typer.Context,
    models: Annotated[
        list[str] | None, typer.Argument(help="Rungs of the ladder; all if none.")
    ] = None,
    seeds: Annotated[
        bool, typer.Option(help="Measure every run of a rung that ships with several seeds.")
    ] = True,
    text: TextName = "webmix",
    documents: Documents = 96,
    fit_documents: FitDocuments = 64,
    block: BlockSize = 128,
    seed: Seed = 0,
    report: Report = Path("sizes.html"),
    record: RecordFile = Path("sizes.json"),
    run: Run = None,
) -> None:
    """Explain every head of every rung by the same rules: is it easier or harder with size?

    A rung stands for all its runs: they differ by their seed alone and scatter by more than most
    rungs differ. Without them (--no-seeds) the slope says nothing of other runs.
    """
    import unexplained as ux
    from unexplained.assays.sizes import require_computes
    from unexplained.errors import require_once
    from unexplained.ladder.catalogue import catalogue

    known = catalogue()
    asked = models or [one.name for one in known.rungs() if not one.seed]
    names = known.with_seeds(asked) if seeds else asked
    with writing(report, record) as made, Progress() as progress, kept(context, run) as folder:
        require_texts(text)
        require_once("model", asked)
        require_computes(computes := [known.named(name).compute for name in names])
        rungs = {ux.load(name): compute for name, compute in zip(names, computes, strict=True)}
        where = ux.text(text, next(iter(rungs)), documents=documents,
                        fit_documents=fit_documents, block=block, seed=seed)  # fmt: skip
        made.append(
            ux.sizes(rungs, where, settings=ux.Settings(seed=seed), folder=folder,
                     say=progress)
        )  # fmt: skip
