"""A package whose public names are fetched when they are first asked for.

Reading a record or `unexplained --help` must not wait for torch: importing the package imports none
of its rooms.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType


class Face(ModuleType):
    """A package as it is seen: a public name is never hidden by a room that is called the same.

    `unexplained.text` is a room and `ux.text` a function: Python would put the one in the other's
    place when the room is imported.
    """

    @property
    def public(self) -> frozenset[str]:
        """The names that are fetched when they are first asked for."""
        found: frozenset[str] = self.__dict__["_public"]
        return found

    def __reduce__(self) -> tuple[Callable[[str], ModuleType], tuple[str]]:
        """Elsewhere it is imported, as any module is."""
        return import_module, (self.__name__,)

    def __setattr__(self, name: str, value: object) -> None:
        hides = name in self.public and value is sys.modules.get(f"{self.__name__}.{name}")
        if not hides:
            super().__setattr__(name, value)


def face(
    package: str, homes: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Give a package's `__getattr__` and `__dir__` (PEP 562).

    Args:
        package: Its `__name__`.
        homes: For each module below it, the public names that live there; a name that is no
            attribute of the module is a module in it.
    """
    where = {name: f"{package}.{home}" for home, names in homes.items() for name in names}
    module = sys.modules[package]
    module.__dict__["_public"] = frozenset(where)
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

    return get, names
