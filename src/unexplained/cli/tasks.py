"""`tasks`: the same explanations on narrow tasks and on the full distribution."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    app,
    kept,
    read_text,
    require_texts,
    writing,
)

if TYPE_CHECKING:
    from unexplained.assays.tasks import Asked
    from unexplained.text import Text


@app.command()
def tasks(
    context: typer.Context,
    model: Model,
    text: Annotated[
        str, typer.Option(help="The full distribution; explanations are chosen on its fit part.")
    ] = "webmix",
    task: Annotated[
        list[str] | None,
        typer.Option(help="A domain of that text, another text, a behaviour or a file of pairs."),
    ] = None,
    sites: Annotated[str, typer.Option(help="What is replaced, one after another.")] = "L*.H*",
    weak: Annotated[
        str, typer.Option(help="The rung that accuracy is held against; the best below if none.")
    ] = "",
    documents: Documents = 96,
    fit_documents: FitDocuments = 64,
    block: BlockSize = 128,
    seed: Seed = 0,
    report: Report = Path("tasks.html"),
    record: RecordFile = Path("tasks.json"),
    run: Run = None,
    accept_terms: Terms = False,
) -> None:
    """Accuracy and loss of the explained model on narrow tasks, beside weaker models.

    Without --task: every domain of the text, and repeated random tokens.
    """
    import unexplained as ux
    from unexplained.assays.tasks import Asked
    from unexplained.ladder.catalogue import catalogue
    from unexplained.ladder.conditions import weaker_models
    from unexplained.study.asked import components

    with writing(report, record) as made, Progress() as progress, kept(context, run) as folder:
        require_texts(text)
        if weak:
            catalogue().named(weak)
        subject = ux.load(model, accept_terms=accept_terms)

        def read(name: str) -> Text:
            return read_text(name, subject, documents=documents, fit_documents=fit_documents,
                             block=block, seed=seed)  # fmt: skip

        components(subject, sites)
        whole = read(text)
        domains = list(whole.composition) if len(whole.composition) > 1 else []
        names = task or [*domains, *(["repeats"] if text != "repeats" else [])]
        asked = [Asked(whole.name, whole, "the full distribution")]
        asked += [_task(name, whole, read) for name in names]
        weaker = weaker_models(subject, whole)
        made.append(
            ux.tasks(subject, asked, sites, weaker=weaker, reference=weak,
                     settings=ux.Settings(seed=seed), folder=folder, say=progress)
        )  # fmt: skip


def _task(name: str, whole: Text, read) -> Asked:  # type: ignore[no-untyped-def]
    """A domain of the text, the second copies of repeated tokens, or a text of its own."""
    from unexplained.assays.tasks import Asked

    if name in whole.composition:
        return Asked(name, whole, f"tokens of {whole.name} in this domain", ("domain", name))
    text = read(name)
    if name == "repeats":
        says = "the second copy of a repeated segment of random tokens"
        return Asked(name, text, says, ("copy", "second copy"))
    return Asked(name, text)
