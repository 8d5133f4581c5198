"""What an explanation carries besides its code: it must be something that is counted.

An explanation could recover everything in a few bits by holding on to the model itself. Description
lengths and fingerprints see code, tensors and plain data (`description`), and here also n-gram
tables; whatever else it names is refused. This guards against mistakes, not against
somebody who hides things: Python has no walls.
"""

from __future__ import annotations

import dis
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unexplained.errors import ExplanationError
from unexplained.explanations.protocol import Explanation
from unexplained.text.ngrams import NGram

_PLAIN = (bool, int, float, complex, str, bytes, type(None), Tensor, torch.dtype, torch.device)


def tables_of(explanation: Explanation) -> tuple[NGram, ...]:
    """The n-gram tables that an explanation carries, each once.

    Raises:
        ExplanationError: It carries something that no description length counts: a model, an
            array, an object of a class of its own.
    """
    found: dict[int, NGram] = {}
    for label, thing in _carried(explanation.function, set()):
        if isinstance(thing, NGram):
            found[id(thing)] = thing
        elif not _counted(thing):
            raise ExplanationError(
                f"The {'program' if explanation.gives == 'logits' else 'explanation'} "
                f"'{explanation.name}'",
                f"it carries '{label}', a {type(thing).__module__}.{type(thing).__qualname__}, "
                "which its description length would not count",
                "Carry tensors, plain numbers, strings and lists of them, n-gram tables, and "
                "functions; nothing of the model.",
            )
    return tuple(found.values())


def _counted(thing: object) -> bool:
    if isinstance(thing, Mapping):
        return type(thing) is dict and all(map(_counted, [*thing.keys(), *thing.values()]))
    if isinstance(thing, list | tuple | set | frozenset):
        return all(map(_counted, thing))
    return isinstance(thing, _PLAIN)


def _carried(function: Callable[..., Any], seen: set[int]) -> Iterator[tuple[str, object]]:
    """Everything that a function and its own helpers name or hold, but for code and libraries."""
    if id(function) in seen:
        return
    seen.add(id(function))
    code: types.CodeType | None = getattr(function, "__code__", None)
    if code is None:
        yield getattr(function, "__name__", "function"), function
        return
    cells = zip(code.co_freevars, function.__closure__ or (), strict=True)
    held = [(name, cell.cell_contents) for name, cell in cells]
    defaults = [
        *(getattr(function, "__defaults__", None) or ()),
        *(getattr(function, "__kwdefaults__", None) or {}).values(),
    ]
    held += [("a default", value) for value in defaults]
    for label, thing in [*held, *_named(code, function.__globals__)]:
        if isinstance(thing, types.FunctionType):
            if not _of_library(thing.__module__):
                yield from _carried(thing, seen)
        elif not isinstance(thing, types.ModuleType) and not _is_language(thing):
            yield label, thing


def _named(code: types.CodeType, names: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Globals that the code loads, directly or as `module.name` of modules that are no library's."""
    owner: object = None
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            owner = names.get(step.argval)
            if step.argval in names:
                yield step.argval, owner
        elif step.opname in ("LOAD_ATTR", "LOAD_METHOD") and isinstance(owner, types.ModuleType):
            inside = not _of_library(owner.__name__)
            owner = getattr(owner, step.argval, None)
            if inside:
                yield step.argval, owner
        elif step.opname not in ("CACHE", "PUSH_NULL"):
            owner = None
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _named(constant, names)


def _is_language(thing: object) -> bool:
    """Classes and built-in functions of Python, of libraries and of this package."""
    if isinstance(thing, type):
        own = thing.__module__.split(".")[0] == __name__.split(".")[0]
        return own or _of_library(thing.__module__)
    if isinstance(thing, types.BuiltinFunctionType):
        return thing.__self__ is None or isinstance(thing.__self__, types.ModuleType | type)
    return False


def _of_library(module: str | None) -> bool:
    """Whether a module is Python's or installed, and not this package."""
    root = (module or "").split(".")[0]
    if root in ("", __name__.split(".")[0]):
        return False
    if root in sys.stdlib_module_names:
        return True
    file = Path(getattr(sys.modules.get(root), "__file__", None) or "")
    return bool({"site-packages", "dist-packages"} & set(file.parts))
