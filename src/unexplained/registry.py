"""Find what a folder holds: one file per thing, registered by name, looked up with near misses."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
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
            package = importlib.import_module(self._package)
            for module in sorted(info.name for info in pkgutil.iter_modules(package.__path__)):
                importlib.import_module(f"{self._package}.{module}")
            self._complete = True
        return dict(self._found)
