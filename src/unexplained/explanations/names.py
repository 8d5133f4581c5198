"""What a name in code stands for at this moment, followed through attributes as far as they are plain.

A module's attribute, a function's, and what an object or a class holds under a name are what code
gets; where a class would compute the attribute, the whole object counts.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import inspect
import types
from collections.abc import Callable, Iterator
from typing import Any

from unexplained.explanations.bytecode import NameRead
from unexplained.explanations.kinds import MISSING, is_plain
from unexplained.explanations.language import PACKAGE, denied, is_library, root_of
from unexplained.lazy import Face

Refuse = Callable[[str, str], None]
"""Called with a name and what is wrong with it."""


def cells(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """The names and values of a function's closure."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not bound yet
            yield name, MISSING


def resolve(named: NameRead, function: types.FunctionType, refuse: Refuse) -> tuple[str, Any]:
    """What a name stands for, followed through attributes as far as those are plain."""
    name, *rest = named.path
    if named.place == "free":
        thing = dict(cells(function))[name]
    elif named.place == "import":
        thing = _imported(name, named.level, function, refuse)
    else:
        thing = function.__globals__.get(name, MISSING)
        if thing is MISSING:
            thing = getattr(builtins, name, MISSING)
    label = [name]
    for attribute in rest:
        inner = _attribute(".".join(label), thing, attribute, refuse)
        if inner is MISSING:
            break
        thing = inner
        label.append(attribute)
    return ".".join(label), thing


def _imported(name: str, level: int, function: types.FunctionType, refuse: Refuse) -> Any:
    package = function.__globals__.get("__package__") or ""
    try:
        full = importlib.util.resolve_name("." * level + name, package) if level else name
        return importlib.import_module(full)
    except Exception as error:  # whatever an import may raise
        refuse(name, f"which cannot be imported: {error}")
        return MISSING


def _attribute(label: str, thing: Any, name: str, refuse: Refuse) -> Any:
    """An attribute that holds what it gives; missing where the whole thing has to count."""
    if isinstance(thing, types.ModuleType):
        return _of_module(label, thing, name, refuse)
    if isinstance(thing, types.FunctionType):
        return vars(thing).get(name, MISSING)
    kind = thing if isinstance(thing, type) else type(thing)
    if is_library(kind) or root_of(kind.__module__) == PACKAGE:
        return MISSING
    inner = inspect.getattr_static(thing, name, MISSING)
    if isinstance(inner, staticmethod):
        return inner.__func__
    if isinstance(thing, type):
        held = isinstance(inner, types.FunctionType | type) or is_plain(inner)
        return inner if held and type(thing) is type else MISSING
    owned = not any("__getattribute__" in vars(c) for c in kind.__mro__ if not is_library(c))
    # A named tuple, or an object of slots, keeps no dictionary of what it holds.
    held = vars(thing) if owned and hasattr(thing, "__dict__") else {}
    return inner if held.get(name, MISSING) is inner else MISSING


def _of_module(label: str, module: types.ModuleType, name: str, refuse: Refuse) -> Any:
    if denied(module) is not None:
        return MISSING  # so that it is refused as a whole
    if is_library(module):
        return getattr(module, name, MISSING)
    if name in vars(module):
        return vars(module)[name]
    if isinstance(module, Face) and name in module.public:
        return getattr(module, name)  # ours, and fetched when it is first asked for
    try:
        return importlib.import_module(f"{module.__name__}.{name}")
    except Exception:  # whatever an import may raise
        if "__getattr__" in vars(module):
            refuse(f"{label}.{name}", "which its module makes only as it runs")
        return None
