"""`ladder`: the models that we trained, and their training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.table import Table

from unexplained.cli.shared import OUT, app
from unexplained.stops import keeping
from unexplained.telling import ProgressBars

ladder_app = typer.Typer(help="The ladder: small models trained by us, to place a loss among.")
app.add_typer(ladder_app, name="ladder", invoke_without_command=True)


@ladder_app.callback()
def ladder(context: typer.Context) -> None:
    """List the models of the ladder: any of the names can be given where a model is asked for."""
    if context.invoked_subcommand is not None:
        return
    from unexplained.ladder.catalogue import catalogue

    known = catalogue()
    table = Table(title=f"Trained by us on {known.corpus}", box=box.SIMPLE, padding=(0, 1, 0, 0))
    for column in ("name", "size", "weights", "tokens", "FLOPs", "loss", "min", "what"):
        left = column in ("name", "what")
        table.add_column(column, justify="left" if left else "right", no_wrap=column == "name")
    for one in known.models:
        what = one.role if not one.repeats else f"{one.role}, {one.repeats:.0%} repeats"
        table.add_row(one.name, f"{one.layers}×{one.width}", f"{one.parameters / 1e3:.0f}k",
                      f"{one.tokens / 1e6:.2f}M", f"{one.compute:.1e}".replace("e+", "e"),
                      f"{one.held_out:.3f}", f"{one.seconds / 60:.1f}", what)  # fmt: skip
    OUT.print(table)
    OUT.print(
        "Size: layers × width. Loss: nats per token on documents of the fit part that were kept "
        f"back. Minutes: of the whole run, on one thread of {known.machine['processor']}.",
        highlight=False,
    )


@ladder_app.command("train")
def train(
    names: Annotated[list[str] | None, typer.Argument(help="Runs; all of them if none.")] = None,
    folder: Annotated[Path, typer.Option(help="Where the runs live.")] = Path("runs/ladder"),
    jobs: Annotated[int, typer.Option(min=1, help="Runs at once, one thread each.")] = 2,
) -> None:
    """Train runs of the ladder again from the recipes; killed runs go on where they were."""
    from unexplained.ladder.runs import train_runs
    from unexplained.ladder.series import plans

    keeping(str(folder))
    with ProgressBars() as progress:
        train_runs(names or list(plans()), folder, jobs=jobs, say=progress)
    OUT.print(
        f"Finished runs are in {folder}. To make a ladder of them: unexplained ladder publish"
    )


@ladder_app.command("publish")
def publish(
    folder: Annotated[Path, typer.Option(help="Where the runs live.")] = Path("runs/ladder"),
    out: Annotated[Path, typer.Option(help="Where the ladder goes.")] = Path("runs/models"),
) -> None:
    """Write finished runs as float16 checkpoints with `ladder.json`, as they ship."""
    from unexplained.ladder.publish import finished
    from unexplained.ladder.publish import publish as write
    from unexplained.ladder.runs import tokenizer_of
    from unexplained.ladder.stream import stream

    finished(folder)  # before a tokenizer is learned for nothing
    tokenizer = tokenizer_of(folder)
    OUT.print(f"Ladder: {write(folder, out, tokenizer, stream(tokenizer), OUT.print)}")


@ladder_app.command("counts")
def counts(
    out: Annotated[Path, typer.Option(help="Where the ladder goes.")] = Path("runs/models"),
) -> None:
    """Count webmix in the ladder's tokens for its n-gram tables, as they ship."""
    import unexplained as ux
    from unexplained.text.counted import ship

    text = ux.text("webmix", ux.load("rung-1"), documents=1, fit_documents=1)
    OUT.print(f"Counts: {ship(text, out / 'ngrams')}")
