"""Laws of the source: sizes of functions and files, a name for one thing, and what an instrument may cost."""

from __future__ import annotations

import ast
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

import unexplained

SRC = Path(unexplained.__file__).parent
FILES = sorted(path for path in SRC.rglob("*.py"))
LINES, BODY = 400, 60
"""The most lines of a file, and of a function without its docstring."""


def place(path: Path) -> str:
    return str(path.relative_to(SRC))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """From `def` to the end, without the docstring."""
    first = function.body[0]
    words = ast.get_docstring(function, clean=False) is not None
    told = (first.end_lineno or 0) - first.lineno + 1 if words else 0
    return (function.end_lineno or 0) - function.lineno + 1 - told


def too_long(path: Path) -> list[str]:
    """What of a file is too long."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = [
        f"{place(path)}: {one.name} has {lines_of(one)} lines"
        for one in ast.walk(tree(path))
        if isinstance(one, functions) and lines_of(one) > BODY
    ]
    if (count := len(path.read_text().splitlines())) > LINES:
        found.append(f"{place(path)} has {count} lines")
    return found


def test_no_file_and_no_function_is_longer_than_can_be_read() -> None:
    found = {place(path): too_long(path) for path in FILES}
    assert not {name: said for name, said in found.items() if said}


def test_the_law_of_sizes_sees_a_long_function_and_a_long_file(tmp_path: Path) -> None:
    body = "\n".join(["    x = 1"] * BODY)
    for text, there in (
        (f'def long():\n    """Words."""\n{body}\n', True),
        (f'def right():\n    """Many\n\n    words."""\n{body[10:]}\n', False),
        ("\n" * LINES + "x = 1\n", True),
    ):
        (tmp_path / "one.py").write_text(text)
        found = too_long_of(tmp_path / "one.py")
        assert bool(found) is there, found


def too_long_of(path: Path) -> list[str]:
    """`too_long` of a file that is not of the package."""
    tree.cache_clear()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(__name__ + ".SRC", path.parent)
        return too_long(path)


def types_of(path: Path) -> list[str]:
    """Classes and names of types that a file makes."""
    found = []
    for one in tree(path).body:
        match one:
            case ast.ClassDef(name=name):
                found.append(name)
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                if name[0].isupper() and not name.isupper():
                    found.append(name)
    return [name for name in found if not name.startswith("_")]


TWO_MEANINGS = {
    "Block": "a block of a page (`record`) and of tokens (`text`): both are the field's words, no file has both"
}
"""Names of types that are given twice, and why."""


def test_a_type_has_a_name_of_its_own() -> None:
    homes = defaultdict(list)
    for path in FILES:
        for name in types_of(path):
            homes[name].append(place(path))
    assert {
        name: where for name, where in homes.items() if len(where) > 1
    }.keys() == TWO_MEANINGS.keys()


PAGE = 2400
"""The most nodes of the syntax tree of an instrument, with the modules that are its own."""
LONGER = {"assay": 10_500}
"""Instruments that need more: `assay` shows texts, strata, tokens and attention, in modules of its own."""


def test_an_instrument_is_a_page_or_two() -> None:
    """About seventy are still to come."""
    for path in (SRC / "instruments").glob("[!_]*.py"):
        own = [path, *path.parent.glob(f"_{path.stem}_*.py")]
        nodes = sum(1 for one in own for _ in ast.walk(tree(one)))
        assert nodes <= LONGER.get(path.stem, PAGE), f"{path.stem}: {nodes} nodes"
