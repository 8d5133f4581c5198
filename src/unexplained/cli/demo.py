"""`demo`: a small model of ours, then a real one, with no argument."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from unexplained.cli.outputs import Outputs, require_outputs, say_forecast
from unexplained.cli.shared import (
    OUT,
    Documents,
    app,
    shared_ledgers,
)
from unexplained.telling import ProgressBars


@app.command()
def demo(
    documents: Documents = 48,
    report: Annotated[Path, typer.Option(help="Where the page goes.")] = Path("runs/demo.html"),
    record: Annotated[Path, typer.Option(help="Where the record goes.")] = Path("runs/demo.json"),
    ladder: Annotated[
        bool, typer.Option(help="Begin with a model of the ladder, which needs no download.")
    ] = True,
    real: Annotated[bool, typer.Option(help="Go on to SmolLM2-135M.")] = True,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Fetch what is missing, and say about how long each part takes."
        ),
    ] = False,
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
    if ladder:
        OUT.print("1  A two-layer model of ours on Python's own texts: no download.")
        _assay("attention-2", "pydocs", 32, 32, (beside[0], beside[1]), dry_run, top=3, singles=0)
    if real:
        OUT.print("2  SmolLM2-135M on web text; fetched the first time.")
        _assay("smollm2-135m", "webmix", documents, 64, (report, record), dry_run, top=5, singles=5)


def _assay(
    model: str,
    text: str,
    documents: int,
    fit_documents: int,
    outputs: tuple[Path, Path],
    dry_run: bool,
    **how: Any,
) -> None:
    """The strongest induction heads of a model, on a text and on repeated random tokens."""
    import unexplained as ux

    def texts(subject: ux.Subject) -> list[ux.Text]:
        return [
            ux.text(text, subject, documents=documents, fit_documents=fit_documents, block=128),
            ux.text("repeats", subject, documents=16, fit_documents=32, block=128),
        ]

    how["folder"] = shared_ledgers()
    if dry_run:
        subject = ux.load(model)
        say_forecast(ux.assay.dry_run(subject, "", texts(subject), **how))
        return
    with (
        Outputs(report=outputs[0], record=outputs[1]).writing() as made,
        ProgressBars() as progress,
    ):
        subject = ux.load(model)
        made.append(ux.assay(subject, "", texts(subject), say=progress, **how))
