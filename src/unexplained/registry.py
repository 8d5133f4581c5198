"""Find what a folder holds: one file per thing, registered by name, looked up with near misses."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

from unexplained.errors import UnexplainedError, near_matches

T = TypeVar("T")


class Registry(Generic[T]):
    """Named things, each in a module of one package, imported when first asked for.

    Args:
        kind: What they are called in errors, for example `ablation`.
        package: Dotted name of the package whose modules register them.
        error: The error to raise for a name that is not there.
    """

    def __init__(self, kind: str, package: str, error: type[UnexplainedError]) -> None:
        self._kind, self._package, self._error = kind, package, error
        self._found: dict[str, T] = {}
        self._of: dict[str, str] = {}
        """The module that gave each."""
        self._complete = False

    def add(self, name: str, thing: T) -> T:
        """Register a thing (ValueError if the name is taken)."""
        if name in self._found:
            raise ValueError(f"two {self._kind}s are called '{name}'")
        self._found[name] = thing
        self._of[name] = self._registering()
        return thing

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator form of `add`."""
        return lambda thing: self.add(name, thing)

    def get(self, name: str) -> T:
        """The thing with that name; the registry's error, with near matches, if there is none."""
        file = name.replace("-", "_")
        if name not in self._found and file in self._modules():
            self._import(file)  # a file is called as what it holds: the others can wait
        if name in self._found:
            return self._found[name]
        found = self.all()
        if name not in found:
            raise self._error(
                f"The {self._kind} '{name}'",
                "there is none of that name",
                near_matches(name, found),
            )
        return found[name]

    def __repr__(self) -> str:
        return f"<{self._kind}s: {', '.join(sorted(self.all()))}>"[:200]

    def all(self) -> dict[str, T]:
        """Everything, by name, in alphabetical order of the files."""
        if not self._complete:
            files = list(self._modules())
            for module in files:
                self._import(module)
            # What was asked for, or imported by another, was there before its turn.
            place = {module: number for number, module in enumerate(files)}
            self._found = dict(
                sorted(self._found.items(), key=lambda one: place.get(self._of[one[0]], -1))
            )
            self._complete = True
        return dict(self._found)

    def sentences(self, decorator: str) -> dict[str, str]:
        """What each function registered here says of itself first, by name; read, and not imported.

        A list of commands needs no more. What is registered in another way is not among them.

        Args:
            decorator: The name of the one that registers a function, under a name that is written there.
        """
        return {
            name: says
            for file in self._modules().values()
            for name, says in _told(file.read_text(encoding="utf-8"), decorator)
        }

    def _modules(self) -> dict[str, Path]:
        """The package's files, by the names of their modules."""
        folders = importlib.import_module(self._package).__path__
        found = {info.name: info for info in pkgutil.iter_modules(folders)}
        return {
            name: Path(info.module_finder.path)  # type: ignore[union-attr]
            / (f"{name}/__init__.py" if info.ispkg else f"{name}.py")
            for name, info in sorted(found.items())
        }

    def _registering(self) -> str:
        """The module of the package that is being imported; empty if it is none."""
        frame, inside = sys._getframe(1), f"{self._package}."
        while frame is not None:
            name = str(frame.f_globals.get("__name__", ""))
            if name.startswith(inside):
                return name.removeprefix(inside).partition(".")[0]
            frame = frame.f_back  # type: ignore[assignment]
        return ""

    def _import(self, module: str) -> None:
        before = set(self._found)
        try:
            importlib.import_module(f"{self._package}.{module}")
        except UnexplainedError:
            raise
        except Exception as error:
            # What it imported itself is whole, and would not be registered a second time.
            for name in [n for n in set(self._found) - before if self._of[n] == module]:
                del self._found[name]
            raise self._error(
                f"The file {module}.py in the folder of every {self._kind}",
                f"it cannot be imported ({type(error).__name__}: {error})",
                "Mend it, or take it out of that folder.",
            ) from error


def _told(source: str, decorator: str) -> Iterator[tuple[str, str]]:
    """Names and first paragraphs of the functions that are decorated so; none of a file that is no Python."""
    try:
        body = ast.parse(source).body
    except SyntaxError:
        return  # whoever imports it is told
    for one in (node for node in body if isinstance(node, ast.FunctionDef)):
        for call in one.decorator_list:
            if not isinstance(call, ast.Call) or ast.unparse(call.func).split(".")[-1] != decorator:
                continue
            named = [*call.args[:1], *(k.value for k in call.keywords if k.arg == "name")]
            if named and isinstance(named[0], ast.Constant):
                says = (ast.get_docstring(one) or "").partition("\n\n")[0]
                yield str(named[0].value), " ".join(says.split())
