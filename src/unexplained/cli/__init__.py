"""The command line: thin, over the same functions that Python users call."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.text import Text

from unexplained.errors import UnexplainedError

ERRORS = Console(stderr=True)


def main() -> None:
    """Run the command line; known errors are told in their three parts, without a traceback."""
    from unexplained.cli.app import app

    try:
        app()
    except UnexplainedError as error:
        ERRORS.print(Text(f"{error.asked}:", style="bold red"))
        ERRORS.print(Text(f"  {error.found}."))
        if error.do:
            ERRORS.print(Text(f"  → {error.do}", style="green"))
        sys.exit(2)
    except KeyboardInterrupt:
        ERRORS.print(
            Text("Stopped. What was measured is kept: the same command goes on from there.")
        )
        sys.exit(130)
