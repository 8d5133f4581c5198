"""Find what a folder holds: one file per thing, registered by name, looked up with near misses."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from unexplained.errors import UnexplainedError, near_matches

T = TypeVar("T")

_TOLD = re.compile(
    r'^@\w+\(\s*"(?P<name>[^"]+)".*?^def .*?^    """(?P<says>.+?)(?:\n\s*\n|""")', re.M | re.S
)
"""A decorated function as the formatter leaves it: the name given, and its docstring's first paragraph."""


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
        return thing

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator form of `add`."""
        return lambda thing: self.add(name, thing)

    def get(self, name: str) -> T:
        """The thing with that name; the registry's error, with near matches, if there is none."""
        if name not in self._found and name in self._modules():
            self._import(name)  # a file is called as what it holds: the others can wait
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
            place = {name: files.index(module) for name, module in self._of.items()}
            # What was asked for by name was imported before its turn.
            self._found = dict(sorted(self._found.items(), key=lambda one: place.get(one[0], -1)))
            self._complete = True
        return dict(self._found)

    def sentences(self) -> dict[str, str]:
        """What each function registered here says of itself first, by name; read, and not imported.

        A list of commands needs no more. What a file registers in another way is not among them.
        """
        found = {}
        for module in self._modules().values():
            for told in _TOLD.finditer(module.read_text(encoding="utf-8")):
                found[told["name"]] = " ".join(told["says"].split())
        return found

    def _modules(self) -> dict[str, Path]:
        """The package's files, by the names of their modules."""
        package = importlib.import_module(self._package)
        return {
            info.name: Path(info.module_finder.path) / f"{info.name}.py"  # type: ignore[union-attr]
            for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda info: info.name)
        }

    def _import(self, module: str) -> None:
        before = set(self._found)
        importlib.import_module(f"{self._package}.{module}")
        self._of |= dict.fromkeys(set(self._found) - before, module)
