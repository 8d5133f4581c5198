"""What a piece of code reads by name.

Read from its bytecode, which is what runs, so that functions without source, lambdas and code
that a decorator made are read like any other. A name counts together with the attributes that are read of it in one go (`helpers.rules.copy`),
written out or through `getattr` with a constant; imports inside a function are names too.
"""

from __future__ import annotations

import dis
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

_SILENT = frozenset({"CACHE", "EXTENDED_ARG", "NOP", "NOT_TAKEN", "PRECALL", "PUSH_NULL", "RESUME"})
_GLOBAL = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
_FREE = frozenset({"LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"})
_FAST = frozenset({"LOAD_FAST", "LOAD_FAST_BORROW", "LOAD_FAST_CHECK"})
_ATTRIBUTE = frozenset({"LOAD_ATTR", "LOAD_METHOD"})
_STORES = frozenset({"STORE_FAST", "STORE_DEREF", "STORE_NAME", "STORE_GLOBAL"})

_INSIDE = frozenset(
    {"_local", "_reads", "_elsewhere", "_declared", "__dict__", "__doc__", "__annotations__", "__builtins__", "__globals__", "__loader__", "__spec__", "__subclasses__", "f_back",
     "f_builtins", "f_globals", "f_locals", "gi_frame", "tb_frame"}
)  # fmt: skip
"""Attributes and names through which code reaches things that nobody named: how a view is made, and
what counts for nothing because it changes nothing."""

_SETS = _ATTRIBUTE | {"STORE_ATTR", "DELETE_ATTR"}


_HAS_DOCSTRING = 0x4000000


@dataclass(frozen=True)
class NameRead:
    """A name that code reads and the attributes that it reads of it."""

    place: Literal["global", "free", "import"]
    path: tuple[str, ...]
    """The name, or the module of an import, and then attributes."""
    level: int = 0
    """Of an import, how relative it is."""
    computed: bool = False
    """It is `getattr`, of something or by a name that is not written out."""

    @property
    def label(self) -> str:
        """As it is written."""
        return ".".join(self.path)


@dataclass
class NamesRead:
    """What a code object and those inside it do with names."""

    names: dict[NameRead, None] = field(default_factory=dict)
    """In the order in which they are met, each once."""
    writes: list[str] = field(default_factory=list)
    """Names outside of it that it assigns to."""
    inside: list[str] = field(default_factory=list)
    """Of `_INSIDE`, what it uses."""


@lru_cache(maxsize=4096)
def reading(code: types.CodeType) -> NamesRead:
    """Read a function's code object."""
    found = NamesRead()
    _Reader(code, frozenset(code.co_freevars), {}, found).read()
    return found


class _Reader:
    """Reads one code object, and then those nested in it."""

    def __init__(
        self,
        code: types.CodeType,
        free: frozenset[str],
        imported: Mapping[str, NameRead],
        found: NamesRead,
    ) -> None:
        """`free`: names of the outermost function's closure; `imported`: names of outer imports."""
        self.code, self.free, self.found = code, free, found
        self.outside, self.imported = imported, dict[str, NameRead]()
        self.steps = [step for step in dis.get_instructions(code) if step.opname not in _SILENT]

    def read(self) -> None:
        at = 0
        while at < len(self.steps):
            at = self._step(at)
        known = {**self.outside, **self.imported}
        for constant in self.code.co_consts:
            if isinstance(constant, types.CodeType):
                _Reader(constant, self.free, known, self.found).read()

    def _step(self, at: int) -> int:
        """Take in what begins at a step; returns where the next thing begins."""
        step = self.steps[at]
        if step.opname == "IMPORT_NAME":
            return self._import(at)
        chain = self._chain(at)
        if chain is not None:
            named, after = chain
            if named.place == "global" and named.path == ("getattr",):
                return self._getattr(named, after)
            self._add(named)
            if after < len(self.steps) and self.steps[after].opname in (
                "STORE_ATTR",
                "DELETE_ATTR",
            ):
                self.found.writes.append(f"{named.label}.{self.steps[after].argval}")
            return after
        if step.opname in ("STORE_GLOBAL", "DELETE_GLOBAL") or (
            step.opname in ("STORE_DEREF", "DELETE_DEREF") and step.argval in self.free
            and step.argval in self.code.co_freevars
        ):  # fmt: skip
            self.found.writes.append(step.argval)
        if step.opname in _SETS and step.argval in _INSIDE:
            self.found.inside.append(step.argval)
        return at + 1

    def _add(self, named: NameRead) -> None:
        if named.path[0].startswith("@"):
            return  # no name that can be written: a test runner's own, in an assert
        self.found.inside += [name for name in named.path if name in _INSIDE]
        self.found.names[named] = None

    def _chain(self, at: int) -> tuple[NameRead, int] | None:
        """A name and its attributes that begin at a step, and where they end."""
        step = self.steps[at]
        name = step.argval if step.opname in _GLOBAL | _FREE | _FAST else None
        if step.opname in _FAST and name in (*self.code.co_cellvars, *self.code.co_freevars):
            return None  # the cell itself, handed to a nested function
        known = None if name is None else self.imported.get(name)
        if known is None and name in self.code.co_freevars:
            known = self.outside.get(name)
        if known is not None:
            start = known
        elif step.opname in _GLOBAL:
            start = NameRead("global", (step.argval,))
        elif step.opname in _FREE and step.argval in self.free & set(self.code.co_freevars):
            start = NameRead("free", (step.argval,))
        else:
            return None
        return self._attributes(start, at + 1)

    def _attributes(self, start: NameRead, at: int) -> tuple[NameRead, int]:
        path = list(start.path)
        while at < len(self.steps) and self.steps[at].opname in _ATTRIBUTE:
            path.append(self.steps[at].argval)
            at += 1
        return NameRead(start.place, tuple(path), start.level), at

    def _getattr(self, named: NameRead, at: int) -> int:
        """`getattr(chain, "name")`, or of a local; anything else is computed."""
        owner = self._chain(at)
        if owner is not None:
            after = owner[1]
        elif self.steps[at].opname in _FAST | _FREE:
            after = self._attributes(named, at + 1)[1]
        else:
            after = len(self.steps)
        step = self.steps[min(after, len(self.steps) - 1)]
        constant = step.argval if step.opname == "LOAD_CONST" else None
        if not isinstance(constant, str) or not self._called(after + 1):
            self._add(NameRead(named.place, named.path, computed=True))
            return at
        self._add(named)
        after += 1
        if owner is not None:
            named = NameRead(owner[0].place, (*owner[0].path, constant), owner[0].level)
            if self.steps[after].opname == "CALL":
                named, after = self._attributes(named, after + 1)
            self._add(named)
        return after

    def _called(self, at: int) -> bool:
        """Whether `getattr` is called here, at once or with a plain default, not with a sum."""
        if self.steps[at].opname in _GLOBAL | _FREE | _FAST | {"LOAD_CONST", "LOAD_SMALL_INT"}:
            chain = self._chain(at)
            at = at + 1 if chain is None else chain[1]
        return self.steps[at].opname == "CALL"

    def _import(self, at: int) -> int:
        """`import a.b as c` and `from a import b`: from here on a name stands for what it names."""
        level, wanted = (self.steps[at - back].argval for back in (2, 1))
        name: str = self.steps[at].argval
        path: tuple[str, ...] = (name,) if wanted else (name.partition(".")[0],)
        item = path
        at += 1
        while at < len(self.steps):
            step = self.steps[at]
            if step.opname == "IMPORT_FROM":
                item = (*path, step.argval)
                path = path if wanted else item
            elif step.opname in _STORES:
                self.imported[step.argval] = NameRead("import", item, level)
                if step.opname == "STORE_GLOBAL":
                    self.found.writes.append(step.argval)
                item = path
            elif step.opname not in ("SWAP", "POP_TOP", "ROT_TWO"):
                break
            at += 1
        return at


@lru_cache(maxsize=4096)
def parts(code: types.CodeType) -> tuple[str | bytes, ...]:
    """What code does, as data: no layout, no line numbers, no docstrings."""
    used = {step.arg for step in dis.get_instructions(code) if step.opcode in dis.hasconst}
    found: list[str | bytes] = [
        code.co_code,
        code.co_exceptiontable,
        f"{code.co_argcount} {code.co_posonlyargcount} {code.co_kwonlyargcount} "
        f"{code.co_flags & ~_HAS_DOCSTRING}",
        # A keyword finds a parameter by its name.
        " ".join(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]),
        " ".join((*code.co_names, "|", *code.co_freevars, "|", *code.co_cellvars)),
    ]
    for number, constant in enumerate(code.co_consts):
        # The docstring stands first, as None where there is none, and no instruction reads it.
        prose = number == 0 and number not in used and isinstance(constant, str)
        found += _constant(None if prose else constant)
    return tuple(found)


def _constant(constant: object) -> Iterator[str | bytes]:
    if isinstance(constant, types.CodeType):
        yield from parts(constant)
    elif isinstance(constant, tuple):
        yield f"tuple {len(constant)}"
        for item in constant:
            yield from _constant(item)
    elif isinstance(constant, frozenset):
        yield f"set {sorted(map(repr, constant))}"
    else:
        yield f"{type(constant).__name__} {constant!r}"
