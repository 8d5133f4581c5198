"""A package whose public names are fetched when they are first asked for.

Reading a record or `unexplained --help` must not wait for torch: importing the package imports none
of its rooms.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType


class Face(ModuleType):
    """A package as it is seen: a public name is never hidden by a room that is called the same.

    `unexplained.text` is a room and `ux.text` a function: Python would put the one in the other's
    place when the room is imported.
    """

    @property
    def public(self) -> Mapping[str, str]:
        """The names that are fetched when they are first asked for, with the module of each."""
        found: Mapping[str, str] = self.__dict__["_public"]
        return found

    def __reduce__(self) -> tuple[Callable[[str], ModuleType], tuple[str]]:
        """Elsewhere it is imported, as any module is."""
        return import_module, (self.__name__,)

    def __setattr__(self, name: str, value: object) -> None:
        hides = name in self.public and value is sys.modules.get(f"{self.__name__}.{name}")
        if not hides:
            super().__setattr__(name, value)


def homes(source: bytes, package: str) -> dict[str, str]:
    r"""Of a package that fetches its names: the module that each is from, as its file tells type checkers.

    >>> homes(b"if TYPE_CHECKING:\n    from unexplained.text.pairs import pairs as pairs", "unexplained")
    {'pairs': 'unexplained.text.pairs'}
    """
    return {
        alias.name: str(node.module)
        for block in ast.parse(source).body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom) and node.module != package
        for alias in node.names
        if alias.asname == alias.name
    }


def face(package: str) -> tuple[Callable[[str], object], Callable[[], list[str]], list[str]]:
    """Give a package's `__getattr__`, `__dir__` and `__all__` (PEP 562).

    Its public names are those that it imports for type checkers (`from … import X as X` below
    `if TYPE_CHECKING`); one that is no attribute of its module is a module in it.

    Args:
        package: Its `__name__`.
    """
    module = sys.modules[package]
    where = homes(Path(str(module.__file__)).read_bytes(), package)
    module.__dict__["_public"] = where
    module.__class__ = Face

    def get(name: str) -> object:
        home = where.get(name)
        if home is not None:
            room = import_module(home)
            if not hasattr(room, name):
                import_module(f"{home}.{name}")
            module.__dict__[name] = getattr(room, name)
            return module.__dict__[name]
        if not name.startswith("_") and find_spec(f"{package}.{name}") is not None:
            return import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def names() -> list[str]:
        return sorted({*module.__dict__, *where} - {"_public"})

    return get, names, sorted(where)
