"""Digests: of parts, and of the code that a measurement runs.

What was measured is kept under the code that measured it. That is not the whole package: a new rule,
an error's wording or a page changes no number. It is the module that runs, with all that it imports,
and of each what Python reads: comments, docstrings and what is told where something is raised are
left out.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache, partial
from importlib.util import resolve_name
from pathlib import Path
from types import MethodType
from typing import Any

from unexplained.lazy import homes

PACKAGE = __name__.partition(".")[0]
_FOLDER = Path(__file__).parent


def digest(*parts: str | bytes) -> str:
    """First 16 hex digits of the SHA-256 of some parts, each set off from the next."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "little") + data)
    return total.hexdigest()[:16]


@cache
def code_digest(*modules: str) -> str:
    """Digest of what some modules of this package do, and all that they import.

    Imports inside functions count; those for type checkers alone do not. What is imported by a name
    that is only made as it runs (a registry's files) is not found: ask for those as well.

    Args:
        modules: Their full names; those of other packages count for nothing.
    """
    found = code_of(modules)
    return digest(*(part for name in sorted(found) for part in (name, _doing(name)[0])))


@cache
def own_digest(*modules: str) -> str:
    """Digest of what some modules of this package do, without what they import.

    For what is made by so many files alone: that none else runs is for a test to show.
    """
    return digest(*(part for name in modules for part in (name, _doing(name)[0])))


ARCHITECTURES = "unexplained.subject.architectures"
"""Its files say which module of a model is which; a registry imports them by names made as it runs."""


@cache
def architectures() -> tuple[str, ...]:
    """The modules of all architectures: every measurement depends on them."""
    return tuple(name for name in everything() if name.startswith(ARCHITECTURES))


def everything() -> tuple[str, ...]:
    """All modules of this package."""
    files = (path.relative_to(_FOLDER) for path in _FOLDER.rglob("*.py"))
    names = (".".join((PACKAGE, *path.with_suffix("").parts)) for path in files)
    return tuple(sorted(name.removesuffix(".__init__") for name in names))


def code_of(modules: Iterable[str]) -> frozenset[str]:
    """The modules of this package that some modules import, themselves with them."""
    found: set[str] = set()
    open_ = [module for module in modules if _source(module) is not None]
    while open_:
        name = open_.pop()
        if name not in found:
            found.add(name)
            open_ += imported(name)
    return frozenset(found)


def file_of(module: str) -> Path | None:
    """The source file of a module of this package; None if there is none."""
    root, _, below = module.partition(".")
    if root != PACKAGE or not below:
        return None  # of the package itself there is only its face: it imports what it is asked for
    place = _FOLDER.joinpath(*below.split("."))
    return next((p for p in (place / "__init__.py", place.with_suffix(".py")) if p.is_file()), None)


def home_of(thing: Any) -> str:
    """The module that says what a function, or an object that is called, does."""
    while isinstance(thing, partial | MethodType):
        thing = thing.func if isinstance(thing, partial) else thing.__self__
    return str(getattr(thing, "__module__", None) or type(thing).__module__)


@cache
def _source(module: str) -> bytes | None:
    file = file_of(module)
    return None if file is None else file.read_bytes()


@cache
def _doing(module: str) -> tuple[str, tuple[str, ...]]:
    """What a module's source says, without what is there for readers alone; what it imports."""
    tree = ast.parse(_source(module) or b"")
    file = file_of(module)
    inside = file is not None and file.name == "__init__.py"
    package = module if inside else module.rpartition(".")[0]
    names = {around for name in (module, *_names(tree, package)) for around in _around(name)}
    found = tuple(sorted(name for name in names - {module} if _source(name) is not None))
    return ast.dump(_Silent().visit(tree)), found


def imported(module: str) -> tuple[str, ...]:
    """The modules of this package that one imports, and the packages around them and it."""
    return _doing(module)[1]


class _Silent(ast.NodeTransformer):
    """Takes docstrings out, and what is told where something is raised; what is raised stays."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        said = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return ast.Pass() if said else self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        return ast.Raise(exc=raised, cause=None)


def _names(tree: ast.AST, package: str) -> Iterator[str]:
    """What a module imports by `import` and `from`, a name that may be a module as if it were one."""
    for node in _read(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package)
            yield base
            known = _homes(base)
            for name in (alias.name for alias in node.names):
                yield f"{base}.{name}"
                if name in known:
                    yield known[name]


@cache
def _homes(package: str) -> dict[str, str]:
    """Of a package that fetches its names when they are asked for: the module of each."""
    return homes(_source(package) or b"", package)


def _read(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those below `if TYPE_CHECKING`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            yield from (inner for other in node.orelse for inner in (other, *_read(other)))
            continue
        yield node
        yield from _read(node)


def _around(module: str) -> Iterator[str]:
    """A module's name and those of the packages that it lies in."""
    parts = module.split(".")
    yield from (".".join(parts[:count]) for count in range(1, len(parts) + 1))
