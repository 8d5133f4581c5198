"""How long an explanation is: bits of code and of the numbers in it (docs/description-length.md).

Code counts as the deflated size of its syntax without comments, docstrings and layout, together
with every helper that it calls, ours included: a rule is not short because its length is elsewhere.
What belongs to it is found by `carried`; here it is written down and priced.
"""

from __future__ import annotations

import ast
import copy
import linecache
import types
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from unexplained.explanations.bytecode import parts
from unexplained.explanations.prices import NUMBER_BITS
from unexplained.explanations.walk import Carried, carried

PARAMETER_BITS = NUMBER_BITS
"""Bits charged for one fitted number: it is stored and used as float32."""


@dataclass(frozen=True)
class Source:
    """A function's code and its helpers', in a form that layout does not change."""

    text: str
    held: int
    """Bits of the numbers that they hold."""
    fingerprint: str
    """Of everything that is computed: code, and the values that it names or holds."""

    @property
    def bits(self) -> int:
        """Deflated size of the text, and the price of the numbers, in bits."""
        raw = zlib.compressobj(9, zlib.DEFLATED, -15)
        return 8 * len(raw.compress(self.text.encode()) + raw.flush()) + self.held


def source_of(function: Callable[..., Any]) -> Source:
    """A function with everything that it names or holds, as it is now.

    Functions of installed libraries (torch, numpy) are the language, not the claim: they are not
    counted. A function without source (typed at a prompt, made by code) counts by its bytecode.
    """
    return written(carried(function))


def written(found: Carried) -> Source:
    """What a walk found, written down."""
    pieces = [one if isinstance(one, str) else _text(one) for one in found.written]
    return Source("\n".join(pieces), found.bits, found.fingerprint)


@lru_cache(maxsize=4096)
def _text(code: types.CodeType) -> str:
    """A function's code written out again; its bytecode where the source is not at hand."""
    for stale in (False, True):
        # The file may have changed since it was read, or since it was imported.
        if stale:
            linecache.checkcache(code.co_filename)
        found = _syntax("".join(linecache.getlines(code.co_filename)), code)
        if found is not None:
            return ast.unparse(_bare(copy.deepcopy(found)))
    return " ".join(part.hex() if isinstance(part, bytes) else part for part in parts(code))


@lru_cache(maxsize=64)
def _parsed(text: str) -> tuple[ast.Module, frozenset[types.CodeType]] | None:
    try:
        tree = ast.parse(text)
        return tree, frozenset(_codes(compile(text, "", "exec", dont_inherit=True)))
    except (SyntaxError, ValueError):
        return None


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _syntax(text: str, code: types.CodeType) -> ast.Module | None:
    """The part of a file that became this very code, if it did."""
    parsed = _parsed(text)
    if parsed is None or code not in parsed[1]:
        return None
    spans = set(code.co_positions())
    for node in ast.walk(parsed[0]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            if (first, node.name) == (code.co_firstlineno, code.co_name):
                return ast.Module([node], [])
        elif isinstance(node, ast.Lambda) and code.co_name == "<lambda>":
            body = node.body
            span = (body.lineno, body.end_lineno, body.col_offset, body.end_col_offset)
            if node.lineno == code.co_firstlineno and span in spans:
                return ast.Module([ast.Expr(node)], [])
    return None


def _bare(tree: ast.Module) -> ast.Module:
    """Without docstrings, decorators and annotations."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.decorator_list, node.returns = [], None
            for argument in ast.walk(node.args):
                if isinstance(argument, ast.arg):
                    argument.annotation = None
            if ast.get_docstring(node, clean=False) is not None:
                node.body = node.body[1:] or [ast.Pass()]
    return tree
