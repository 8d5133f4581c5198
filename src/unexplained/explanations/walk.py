"""The walk through what a function depends on: `carried` says what it is for."""

from __future__ import annotations

import functools
import types
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unexplained.evaluate.conditions import tensor_bytes
from unexplained.explanations import kinds, prices
from unexplained.explanations.bytecode import NameRead, parts, reading
from unexplained.explanations.language import (
    PACKAGE,
    denied,
    is_compiled,
    is_library,
    root_of,
    version_of,
)
from unexplained.explanations.names import cells, resolve
from unexplained.hashing import digest
from unexplained.text.ngrams import NGram


@dataclass
class Carried:
    """What was found."""

    marks: list[str | bytes] = field(default_factory=list)
    """Everything that tells it from another."""
    written: list[types.CodeType | str] = field(default_factory=list)
    """Code, and constants as they would be written there, in the order in which they are met."""
    bits: int = 0
    """The price of the numbers that it holds."""
    tables: list[NGram] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    """Names, and what is wrong with what they stand for."""
    changeable: bool = False
    """It holds something that could be written to while it runs."""

    @property
    def fingerprint(self) -> str:
        """Of all that it depends on."""
        return digest(*self.marks)

    def changed(self, after: Carried) -> str:
        """The last name before what another walk found otherwise; empty if all is the same."""
        name = "function"
        for old, new in zip_longest(self.marks, after.marks):
            if old != new:
                return name
            if isinstance(old, str) and old.startswith("name "):
                name = old.removeprefix("name ")
        return ""


def carried(function: Callable[..., Any], *, quick: bool = False) -> Carried:
    """Follow everything that a function names or holds, as it is now.

    Args:
        function: Where to begin.
        quick: Tensors are told apart by torch's count of writes to them and not by what is in
            them: for comparing before and after, in one process.
    """
    walk = _Walk(quick)
    try:
        walk.value("function", function)
    except RecursionError:
        walk.found.refused.append(("function", "it is nested too deeply to be followed"))
    walk.flush()
    return walk.found


class _Walk:
    """One walk. What is met again counts once, and is marked as the same thing again."""

    def __init__(self, quick: bool) -> None:
        self.found, self.quick = Carried(), quick
        self.seen: dict[int, int] = {}
        self.codes: set[types.CodeType] = set()
        self.alive: list[object] = []
        """So that no two things that are met have one id."""
        self.line: list[str] = []
        """The written form of what is being met."""
        self.run = 0
        """How many numbers it ends with."""

    # --- what is found ----------------------------------------------------------------------

    def refuse(self, label: str, why: str) -> None:
        self.found.refused.append((label, why))

    def write(self, *words: str) -> None:
        if self.run:
            self.line.append(f"#{self.run}")
        self.run = 0
        self.line += words

    def flush(self, label: str = "") -> None:
        """End the written form of one thing."""
        self.write()
        if self.line:
            self.found.written.append(f"{label} = {' '.join(self.line)}".removeprefix(" = "))
            self.line = []

    def charge(self, count: int, bits: int) -> None:
        self.run += count
        self.found.bits += bits

    def again(self, thing: object) -> bool:
        """Whether it was met before."""
        number = self.seen.setdefault(id(thing), len(self.seen))
        if number < len(self.alive):
            self.found.marks.append(f"again {number}")
            return True
        self.alive.append(thing)
        return False

    # --- code -------------------------------------------------------------------------------

    def function(self, label: str, function: types.FunctionType) -> None:
        """A function: its code, what that names, its closure and its defaults."""
        if self.again(function):
            return
        if is_library(function):
            self.borrowed(label, function)
            return
        code = function.__code__
        self.found.marks += ["function", *parts(code)]
        if code not in self.codes:
            self.codes.add(code)
            self.found.written.append(code)
        read = reading(code)
        for name in read.writes:
            self.refuse(name, "which it writes to: what it says would depend on what ran before")
        for name in read.inside:
            self.refuse(name, "through which it reaches what nobody named")
        for named in read.names:
            self.named(named, function)
        for name, cell in cells(function):
            if not any(n.place == "free" and n.path[0] == name for n in read.names):
                self.value(name, cell)
                self.flush(name)
        defaults: list[tuple[object, object]] = [*enumerate(function.__defaults__ or ())]
        for where, value in [*defaults, *(function.__kwdefaults__ or {}).items()]:
            self.found.marks.append(f"default {where}")
            self.value(f"default {where}", value)
            self.flush(f"default {where}")
        self.noted(label, function)

    def borrowed(self, label: str, function: types.FunctionType) -> None:
        """A library's function: its name, and what it was given to call (as decorators are)."""
        self.library(label, function)
        for name, content in cells(function):
            kind = type(content)
            held = isinstance(content, types.MethodType) and is_library(content.__func__)
            if (
                content is not kinds.MISSING
                and (not is_library(kind) or kinds.is_plain(content))
                and not held
            ):
                self.value(f"{label}.{name}", content)
                self.flush(name)

    def noted(self, label: str, thing: Any) -> None:
        """Attributes that were put on a function or a tensor."""
        for name, content in vars(thing).items():
            self.found.changeable = True
            self.found.marks.append(f"attribute {name}")
            self.value(f"{label}.{name}", content)
            self.flush(f"{label}.{name}")

    def named(self, named: NameRead, function: types.FunctionType) -> None:
        """A name that the function's code reads."""
        label, thing = resolve(named, function, self.refuse)
        self.found.marks.append(f"name {label}")
        if thing is getattr:
            if named.computed:
                self.refuse("getattr", "with a name that is only computed as it runs")
        elif thing is not kinds.MISSING:
            self.value(label, thing)
            self.flush(label)

    # --- values -----------------------------------------------------------------------------

    def value(self, label: str, thing: Any) -> None:
        """Whatever a name stands for."""
        if type(thing) in kinds.SCALARS:
            self.scalar(thing)
        elif thing is kinds.MISSING:
            self.found.marks.append("not bound")
        elif (why := denied(thing)) is not None:
            self.refuse(label, why)
        elif isinstance(thing, types.FunctionType):
            self.function(label, thing)
        elif isinstance(thing, types.ModuleType):
            self.module(label, thing)
        elif isinstance(thing, type):
            self.kind(label, thing)
        elif not self.again(thing):
            self.thing(label, thing)

    def scalar(self, thing: object) -> None:
        """One number or text: where it is named by itself it is as if it were written there."""
        self.found.marks.append(f"{type(thing).__name__} {kinds.written(thing)}")
        if self.depth and not isinstance(thing, str | None):
            self.charge(1, prices.bits_of(thing))
        else:
            self.write(kinds.written(thing))

    depth = 0
    """How many containers and objects are around what is being met."""

    def thing(self, label: str, thing: Any) -> None:
        """A value that is no single number, met for the first time."""
        kind = type(thing)
        if isinstance(thing, types.MethodType):
            self.method(label, thing)
        elif is_compiled(thing):
            self.builtin(label, thing)
        elif isinstance(thing, functools.partial):
            self.found.marks.append("partial")
            self.inside(label, [thing.func, *thing.args, thing.keywords, vars(thing)])
        elif isinstance(thing, staticmethod | classmethod):
            self.found.marks.append(kind.__name__)
            self.value(label, thing.__func__)
        elif kind in (Tensor, torch.nn.Parameter):
            self.tensor(label, thing)
        elif isinstance(thing, np.generic) or kind is np.ndarray:
            self.array(label, thing)
        elif kind in (bytes, bytearray):
            self.found.changeable |= kind is bytearray
            self.found.marks += [kind.__name__, bytes(thing)]
            self.charge(1, 8 * len(thing))
        elif kind in (*kinds.MAPPINGS, *kinds.SEQUENCES, *kinds.SETS):
            self.container(label, thing)
        elif kind in kinds.WORDS or root_of(kind.__module__) == "typing":
            word = kind.__name__ if kind is object else kinds.written(thing)
            self.found.marks.append(f"{kind.__name__} {word}")
        elif kind in kinds.WRITTEN:
            self.found.marks.append(f"{kind.__name__} {kinds.written(thing)}")
            self.write(kinds.written(thing))
        elif isinstance(thing, NGram):
            self.table(thing)
        else:
            self.object(label, thing)

    def inside(self, label: str, things: Any) -> None:
        """What is in something, in order."""
        self.depth += 1
        for number, thing in enumerate(things):
            self.value(label if number == 0 else f"{label}[{number}]", thing)
        self.depth -= 1

    def container(self, label: str, thing: Any) -> None:
        kind = type(thing)
        self.found.changeable |= kind not in (tuple, frozenset, torch.Size)
        self.found.marks.append(f"{kind.__name__} {len(thing)}")
        if isinstance(thing, defaultdict):
            self.value(label, thing.default_factory)
        if kind in kinds.SETS:
            self.inside(label, sorted(thing, key=kinds.place_in_set))
        elif kind in kinds.MAPPINGS:
            self.inside(label, [item for pair in thing.items() for item in pair])
        else:
            plain = prices.uniform(thing)
            if plain is None:
                self.inside(label, thing)
            else:
                self.found.marks += [type(thing[0]).__name__, plain.tobytes()]
                self.charge(plain.size, prices.bits_in(plain))

    def tensor(self, label: str, tensor: Tensor) -> None:
        self.found.changeable = True
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type == "meta":
            self.refuse(label, "a tensor whose numbers cannot be read")
            return
        self.noted(label, tensor)
        self.found.marks.append(f"tensor {tuple(tensor.shape)} {tensor.dtype} {tensor.device}")
        if self.quick and not tensor.is_inference():
            self.found.marks.append(f"{id(tensor)} {tensor.data_ptr()} {tensor._version}")
            return
        plain = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous()
        self.found.marks.append(tensor_bytes(plain))
        values = plain.float() if plain.is_floating_point() and plain.itemsize < 4 else plain
        self.charge(plain.numel(), prices.bits_in(values.numpy()))

    def array(self, label: str, array: Any) -> None:
        self.found.changeable = True
        array = np.asarray(array)
        self.found.marks.append(f"array {array.shape} {array.dtype.str}")
        if array.dtype.kind in "OUS":
            self.inside(label, array.ravel().tolist())
        elif array.dtype.hasobject:
            self.refuse(label, "an array whose fields hold objects")
        elif array.dtype.kind in "biufc":
            self.found.marks.append(array.tobytes())
            self.charge(array.size, prices.bits_in(array))
        else:
            self.found.marks += [array.tobytes(), str(array.dtype)]
            self.charge(array.size, 8 * array.nbytes)

    def table(self, table: NGram) -> None:
        self.found.changeable = True
        self.found.tables.append(table)
        self.found.marks.append(f"table {table.order} {table.parameters} {table.fingerprint}")
        bits, run = self.found.bits, self.run
        for tensor in table.held:
            self.tensor(table.name, tensor)
        # Its price is its stored counts, charged with what is fitted.
        self.found.bits, self.run = bits, run

    def module(self, label: str, module: types.ModuleType) -> None:
        """A module that is not only a name on the way to something in it."""
        if is_library(module):
            self.library(label, module)
        else:
            self.refuse(label, "a module of your own, used as a value: name what is used of it")

    def method(self, label: str, method: types.MethodType) -> None:
        self.found.marks.append("method")
        self.value(label, method.__func__)
        self.inside(label, [method.__self__])

    def builtin(self, label: str, thing: Any) -> None:
        owner = getattr(thing, "__self__", None)
        self.library(label, thing)
        if owner is not None and not isinstance(owner, types.ModuleType | type):
            # append of a list, random of a hidden generator
            self.inside(label, [owner])
        elif not is_library(thing):
            self.refuse(label, "a compiled function of your own: its code cannot be read")

    def library(self, label: str, thing: Any) -> None:
        """Something of the language, by name."""
        name: str = getattr(thing, "__qualname__", "") or getattr(thing, "__name__", label)
        module: str = getattr(thing, "__module__", "") or ""
        self.found.marks.append(f"library {module} {name} {version_of(module or name)}")

    # --- classes and their objects ----------------------------------------------------------

    def kind(self, label: str, kind: type) -> None:
        """A class: everything that is defined in it and in those that it stands on."""
        if is_library(kind) or root_of(kind.__module__) == PACKAGE:
            self.library(label, kind)
            return
        if self.again(kind):
            return
        self.found.changeable = True
        names = " ".join(vars(kind).get("__annotations__", ()))
        bases = ", ".join(base.__name__ for base in kind.__bases__)
        self.found.marks += [f"class {bases}", names, repr(vars(kind).get("__dataclass_params__"))]
        self.write(f"class({bases}) {names}")
        self.flush()
        if type(kind) is not type:
            self.value(label, type(kind))
        for base in kind.__bases__:
            self.value(label, base)
        for name, piece in kinds.entries_of(kind):
            self.found.marks.append(f"attribute {name}")
            self.value(f"{label}.{name}", piece)
            self.flush(f"{label}.{name}")

    def object(self, label: str, thing: Any) -> None:
        """An object of a class of the user's own: the class and what the object holds."""
        from unexplained.explanations.protocol import Explanation

        kind = type(thing)
        if isinstance(thing, Explanation):
            self.value(label, thing.function)
            return
        frames = [c for c in kind.__mro__ if is_library(c) and c not in kinds.BASES]
        foreign = [c for c in frames if c.__name__ not in kinds.FRAMES]
        if foreign or root_of(kind.__module__) == PACKAGE or is_library(kind):
            self.refuse(label, f"a {kind.__module__}.{kind.__qualname__}, "
                        "which its description length would not count")  # fmt: skip
            return
        self.found.changeable = True
        self.found.marks.append("object")
        self.kind(label, kind)
        base = next((base for base in kinds.BASES if isinstance(thing, base)), None)
        if base in (list, tuple, set, frozenset, dict):
            plain = base.items(thing) if base is dict else base.__iter__(thing)  # type: ignore
            self.inside(label, list(plain))
        elif base is not None:
            self.found.marks.append(base.__repr__(thing))
            self.write(base.__repr__(thing))
        for name, content in kinds.state_of(thing):
            self.found.marks.append(f"holds {name}")
            self.depth += 1
            self.value(f"{label}.{name}", content)
            self.depth -= 1
