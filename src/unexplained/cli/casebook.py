"""`unexplained casebook`: famous claims, each a command made as those of instruments are."""

from __future__ import annotations

import typer
from rich.table import Table

from unexplained.cli.listed import add_commands
from unexplained.cli.shared import OUT, app
from unexplained.study import CASEBOOK

casebook_app = typer.Typer(help="Famous claims about components, held to account on any model.")
app.add_typer(casebook_app, name="casebook", invoke_without_command=True)

add_commands(casebook_app, CASEBOOK, "case")


@casebook_app.callback()
def casebook(context: typer.Context) -> None:
    """List the cases: what is claimed, and by whom."""
    if context.invoked_subcommand is not None:
        return
    table = Table(title="Casebook")
    for column in ("case", "claim", "by"):
        table.add_column(column, no_wrap=column == "case")
    for name, one in CASEBOOK.all().items():
        table.add_row(name, one.card.claim, one.card.source)
    OUT.print(table)
    OUT.print("Run one: unexplained casebook CASE MODEL; --help of a case says what it takes.")
