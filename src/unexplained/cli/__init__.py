"""The command line: thin, over the same functions that Python users call."""

from __future__ import annotations

import atexit
import os
import re
import signal
import sys
from collections.abc import Sequence
from typing import Any

from rich.text import Text

from unexplained import visible
from unexplained.console import Visible
from unexplained.errors import UnexplainedError
from unexplained.stops import Stopped, heard, said

ERRORS = Visible(stderr=True)

_BOTH = re.compile(r"(?P<before>\((?:[^();]*: )?)[a-z_]+=[^();]*; (?P<option>--[^()]*)\)")
"""What an error says in brackets for Python, and behind it for the command line."""

_INTERRUPTED = 130
"""What typer answers after Ctrl-C."""


def main() -> None:
    """Run the command line; known errors are told in their three parts, without a traceback.

    A stop (Ctrl-C, `kill`, a closed terminal) says what is kept, and ends with 130, 143 or 129.
    """
    try:
        with heard():
            _run()
    except (Stopped, KeyboardInterrupt) as stop:
        number = int(stop.number if isinstance(stop, Stopped) else signal.SIGINT)
        ERRORS.print(Text(said(number)))
        _leave(128 + number)


def _run() -> None:
    from unexplained.cli.app import app

    try:
        # Not standalone: what typer prints of a wrong option would be printed as it was typed.
        code = app(standalone_mode=False)
        if code == _INTERRUPTED:
            raise KeyboardInterrupt
        sys.exit(code if isinstance(code, int) else 0)
    except UnexplainedError as error:
        options = options_of(sys.argv[1:])
        _tell(*(in_options(part, options) for part in (error.asked, error.found, error.do)))
        sys.exit(2)
    except OSError as error:
        # A name that no room looked at closely: too long, say, or below a closed folder.
        asked = "A file or folder" if error.filename is None else f"The path '{error.filename}'"
        _tell(asked, error.strerror or str(error), "")
        sys.exit(2)
    except Exception as error:
        if not hasattr(error, "format_message"):  # what typer and click call a usage error
            raise
        if str(error.format_message()):  # nothing is said where help was printed instead
            _tell(*_usage(error))
        sys.exit(2)


def _usage(error: Any) -> tuple[str, str, str]:
    """A wrong option or argument, in three parts."""
    context = getattr(error, "ctx", None)
    command = getattr(context, "command_path", "") or "unexplained"
    found = str(error.format_message()).rstrip(".")
    others = ", ".join(getattr(getattr(context, "command", None), "commands", {}))
    there = f"There are: {others}. " * (found.startswith("No such command") and "?" not in found)
    return f"The command {command}", found, f"{there}See {command} --help."


def _leave(code: int) -> None:
    """Exit without waiting for threads that others left running."""
    sys.stdout.flush()
    sys.stderr.flush()
    atexit._run_exitfuncs()  # Ray and others end what they started there
    os._exit(code)


def _tell(asked: str, found: str, do: str) -> None:
    ERRORS.print(Text(visible.prose(f"{asked}:"), style="bold red"))
    stop = "" if found.endswith(("?", ".", "!")) else "."
    ERRORS.print(Text(visible.prose(f"  {found}{stop}")))
    if do:
        ERRORS.print(Text(visible.prose(f"  → {do}"), style="green"))


def options_of(words: Sequence[str]) -> dict[str, str]:
    """Every parameter of the command that some words call, with the option that sets it."""
    import typer.main

    from unexplained.cli.app import app

    command = typer.main.get_command(app)
    for word in words:
        command = getattr(command, "commands", {}).get(word, command)
    return {
        parameter.name: parameter.opts[0]
        for parameter in command.params
        if parameter.name and parameter.param_type_name == "option"
    }


def in_options(text: str, options: dict[str, str]) -> str:
    """What an error says, with the command line's options where it names Python's parameters.

    >>> in_options("fit_pairs=3: use steps=5 or more", {"fit_pairs": "--fit-pairs"})
    '--fit-pairs 3: use steps=5 or more'

    Where a sentence has both, Python's name first, only the option is left:

    >>> in_options("ask for 12 or more (pairs=12; --pairs)", {"pairs": "--pairs"})
    'ask for 12 or more (--pairs)'
    """
    text = _BOTH.sub(r"\g<before>\g<option>)", text)

    def option(match: re.Match[str]) -> str:
        name = match["name"]
        # Python takes several where the command line takes one, again and again.
        found = options.get(name) or options.get(name.removesuffix("s"))
        return f"{found} {match['value']}" if found else match[0]

    return re.sub(r"(?<![\w-])(?P<name>[a-z_]+)=(?P<value>'[^']*'|[^\s,;:()]+)", option, text)
