"""Commands that are listed by what their files say of themselves, and made when one is asked for."""

from __future__ import annotations

from typing import Any, TypeVar

import typer
import typer.main
from rich.markup import escape
from typer.core import TyperCommand

from unexplained.cli.instruments import command_of
from unexplained.errors import UnexplainedError
from unexplained.registry import Registry
from unexplained.study import Instrument

Registered = TypeVar("Registered", bound=Instrument)


def add_commands(app: typer.Typer, registry: Registry[Registered], decorator: str) -> None:
    """Give an application a command for every instrument or case of a folder."""

    class Later(TyperCommand):
        """A command whose file is imported when its options are asked for: a list says what it is for."""

        def __init__(self, **said: Any) -> None:
            super().__init__(**said)
            del self.params, self.callback

        def __getattr__(self, name: str) -> Any:
            if name not in ("params", "callback"):
                raise AttributeError(name)
            alone = typer.Typer(add_completion=False)
            alone.command()(command_of(registry.get(self.name or "")))
            made = typer.main.get_command(alone)
            self.params, self.callback = made.params, made.callback
            return getattr(self, name)

    taken = {one.name for one in app.registered_commands}
    for name, says in registry.sentences(decorator).items():
        if name in taken:
            raise UnexplainedError(
                f"The {decorator} '{name}'", "a command has that name", "Call it something else."
            )
        app.command(name, help=escape(says), cls=Later)(lambda: None)
