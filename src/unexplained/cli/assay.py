"""`assay` and `demo`: stated explanations in the place of heads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unexplained.cli.heads import scored
from unexplained.cli.progress import Progress
from unexplained.cli.shared import (
    OUT,
    BlockSize,
    Documents,
    FitDocuments,
    Model,
    RecordFile,
    Report,
    Seed,
    Terms,
    Twin,
    app,
    require_outputs,
    require_same,
    require_texts,
    shared_ledgers,
    writing,
)
from unexplained.fetch import cache_folder
from unexplained.report import visible

if TYPE_CHECKING:
    from unexplained.text import Text


@app.command()
def assay(
    model: Model,
    heads: Annotated[
        str, typer.Option(help='Components, e.g. "L18.H6 L17.H3-5"; the strongest if not given.')
    ] = "",
    top: Annotated[int, typer.Option(min=1, help="How many of the strongest induction heads.")] = 5,
    text: Annotated[
        list[str] | None,
        typer.Option(
            help="webmix, pydocs, repeats (always of 16 documents), or a file; may be given again."
        ),
    ] = None,
    explanation: Annotated[
        list[str] | None,
        typer.Option(help="A library name, my.py or my.py:name; the first is shown in detail."),
    ] = None,
    documents: Documents = 96,
    fit_documents: FitDocuments = 64,
    block: BlockSize = 128,
    singles: Annotated[int, typer.Option(min=0, help="Components measured alone as well.")] = 5,
    twin: Twin = True,
    seed: Seed = 0,
    report: Report = Path("report.html"),
    record: RecordFile = Path("record.json"),
    accept_terms: Terms = False,
) -> None:
    """Put stated explanations in the place of heads and measure them on text.

    Without --explanation the ladder of induction rules is used; without --heads the model's
    strongest induction heads on repeated random tokens. Ctrl-C loses nothing that is finished.
    """
    run_assay(
        model,
        heads=heads,
        top=top,
        texts=text or ["webmix"],
        names=explanation or [],
        sizes=(documents, fit_documents, block),
        singles=singles,
        twin=twin,
        seed=seed,
        report=report,
        record=record,
        accept_terms=accept_terms,
    )


@app.command()
def demo(
    documents: Documents = 48,
    report: Report = Path("runs/demo.html"),
    record: RecordFile = Path("runs/demo.json"),
    ladder: Annotated[
        bool, typer.Option(help="Begin with a model of the ladder, which needs no download.")
    ] = True,
    real: Annotated[bool, typer.Option(help="Go on to SmolLM2-135M.")] = True,
) -> None:
    """Assay the induction heads of a small model of ours, then of a real one: no argument needed.

    The first takes under a minute, needs nothing from a network, and is placed on the scale of
    training compute by the ladder's rungs.
    """
    require_outputs(report=report, record=record)
    beside = [path.with_stem(path.stem + "-ladder") for path in (report, record)]
    require_outputs(
        report=report, record=record, ladder_report=beside[0], ladder_record=beside[1]
    )  # fmt: skip
    asked = {"heads": "", "names": [], "seed": 0, "accept_terms": False}
    if ladder:
        OUT.print("1  A two-layer model of ours on Python's own texts: no download.")
        run_assay(
            "attention-2",
            top=3,
            texts=["pydocs", "repeats"],
            sizes=(32, 32, 128),
            singles=0,
            twin=True,
            report=beside[0],
            record=beside[1],
            **asked,  # type: ignore[arg-type]
        )
    if real:
        OUT.print("2  SmolLM2-135M on web text; fetched the first time.")
        run_assay(
            "smollm2-135m",
            top=5,
            texts=["webmix", "repeats"],
            sizes=(documents, 64, 128),
            singles=5,
            twin=True,
            report=report,
            record=record,
            **asked,  # type: ignore[arg-type]
        )


def run_assay(
    model: str,
    *,
    heads: str,
    top: int,
    texts: list[str],
    names: list[str],
    sizes: tuple[int, int, int],
    singles: int,
    twin: bool,
    seed: int,
    report: Path,
    record: Path,
    accept_terms: bool,
) -> None:
    """Load, find, measure, print and write."""
    import unexplained as ux
    from unexplained.explanations.files import find_explanation
    from unexplained.study.asked import components, require_assay

    documents, fit_documents, block = sizes
    with writing(report, record) as made, Progress() as progress:
        explanations = [e for name in names for e in find_explanation(name)]
        require_texts(*texts)
        OUT.print(f"cache: {visible.name(cache_folder())}", style="dim", highlight=False)
        subject = ux.load(model, accept_terms=accept_terms)

        if heads:
            components(subject, heads, heads=not explanations)

        def read(name: str, documents: int, fit_documents: int) -> Text:
            return ux.text(
                name, subject, documents=documents, fit_documents=fit_documents, block=block,
                seed=seed,
            )  # fmt: skip

        repeats = read("repeats", 16, 32)
        many = [
            repeats if name == "repeats" else read(name, documents, fit_documents) for name in texts
        ]
        # Of heads that are still to be found, any will do to ask whether explanations can stand there.
        require_assay(
            subject, heads or "L*.H*", many, explanations=explanations or None, twin=twin,
            singles=singles, folder=shared_ledgers(),
        )  # fmt: skip
        explanations = require_same(names, subject)
        scores = scored(subject, repeats, top, twin=twin, seed=seed, progress=progress)
        found = ux.assay(
            subject,
            heads or ux.strongest(scores, top),
            many,
            explanations=explanations or None,
            heads=scores[: max(2 * top, 10)],
            settings=ux.Settings(seed=seed),
            twin=twin,
            singles=singles,
            folder=shared_ledgers(),
            say=progress,
        )
        made.append(found)
