"""How long an explanation is: bits of code and of fitted numbers (docs/description-length.md).

Code counts as the deflated size of its syntax without comments, docstrings and layout, together
with every helper that it calls, ours included: a rule is not short because its length is elsewhere.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import sysconfig
import textwrap
import types
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

PARAMETER_BITS = 32
"""Bits charged for one fitted number: it is stored and used as float32."""

_NO_CODE = (lambda: None).__code__


@dataclass(frozen=True)
class Source:
    """A function's code and its helpers', in a form that layout does not change."""

    text: str
    file: str

    @property
    def bits(self) -> int:
        """Deflated size in bits."""
        raw = zlib.compressobj(9, zlib.DEFLATED, -15)
        return 8 * len(raw.compress(self.text.encode()) + raw.flush())

    @property
    def fingerprint(self) -> str:
        """First 16 hex digits of its SHA-256."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]


def source_of(function: Callable[..., Any]) -> Source:
    """The source of a function, of the functions that it calls by name, and the data it carries.

    Functions of installed libraries (torch, numpy) are the language, not the claim: they are not
    counted. A function without source (typed at a prompt, built-in) counts by its bytecode.
    """
    found: dict[str, str] = {}
    _collect(function, found)
    return Source("\n".join(found.values()), getattr(function, "__code__", _NO_CODE).co_filename)


def _collect(function: Callable[..., Any], found: dict[str, str]) -> None:
    name = f"{function.__module__}.{function.__qualname__}"
    if name in found:
        return
    found[name] = ""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        found[name] = repr(getattr(function, "__code__", _NO_CODE).co_code)
        return
    found[name] = ast.unparse(_bare(tree))
    for label, thing in [*_named(tree, function), *_carried(function)]:
        if isinstance(thing, types.FunctionType):
            if not _is_library(thing):
                _collect(thing, found)
        elif isinstance(thing, Tensor):
            found[f"{name} {label}"] = thing.detach().cpu().contiguous().numpy().tobytes().hex()
        elif isinstance(thing, (bool, int, float, str, bytes, tuple, list, dict, set, frozenset)):
            found[f"{name} {label}"] = f"{label} = {thing!r}"


def _bare(tree: ast.Module) -> ast.Module:
    """Without docstrings, decorators and annotations."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.decorator_list, node.returns = [], None
            for argument in (*node.args.args, *node.args.kwonlyargs):
                argument.annotation = None
            if ast.get_docstring(node, clean=False) is not None:
                node.body = node.body[1:] or [ast.Pass()]
    return tree


def _named(tree: ast.Module, function: Callable[..., Any]) -> list[tuple[str, object]]:
    """The globals that the code names, directly or as `module.name`."""
    names = getattr(function, "__globals__", {})
    found: dict[str, object] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in names:
            found[node.id] = names[node.id]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            owner = names.get(node.value.id)
            if isinstance(owner, types.ModuleType):
                found[f"{node.value.id}.{node.attr}"] = getattr(owner, node.attr, None)
    return list(found.items())


def _carried(function: Callable[..., Any]) -> list[tuple[str, object]]:
    """Values in the function's closure and defaults."""
    code = getattr(function, "__code__", _NO_CODE)
    cells = getattr(function, "__closure__", None) or ()
    closed = zip(code.co_freevars, (cell.cell_contents for cell in cells), strict=True)
    defaults = getattr(function, "__defaults__", None) or ()
    return [*closed, *((f"default {i}", value) for i, value in enumerate(defaults))]


def _is_library(function: types.FunctionType) -> bool:
    """Whether a function belongs to the language and its libraries rather than to the claim."""
    if function.__module__.split(".")[0] == __name__.split(".")[0]:
        return False
    file = Path(function.__code__.co_filename)
    return "site-packages" in file.parts or file.is_relative_to(sysconfig.get_paths()["stdlib"])
