"""The call that made a record, as code with its explanations': how to find it again from Python.

What it needs is written before it: models and texts, claims with the helpers, constants and imports that
they name. What has no code, such as an array, is named in a comment: that is to be defined first.
"""

from __future__ import annotations

import ast
import builtins
import dataclasses
import inspect
import symtable
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any

from unexplained.explanations import LIBRARY, Explanation
from unexplained.explanations.description import source_of
from unexplained.explanations.language import PACKAGE, is_library, root_of
from unexplained.explanations.names import cells
from unexplained.record.base import Frozen
from unexplained.subject import Subject
from unexplained.text import Text

if TYPE_CHECKING:
    from unexplained.study.instrument import Instrument
    from unexplained.study.run import Run

PLAIN = (str, int, float, bool, type(None), Path)
LONGEST = 1000
"""Characters of a constant that is written out."""


def called(one: Instrument, run: Run, given: Mapping[str, Any]) -> str:
    """Code that calls an instrument again: what is by default is left out.

    Sizes of texts are those that were measured; their fingerprints stand beside the call on the page.
    """
    texts = run.texts if one.texts is not None else ()
    call = _Call()
    model = run.model if run.model is not None or not texts else _first(given.values())
    if model is not None:
        call.name("subject", model, f"ux.load({model.name!r})")
    for i, text in enumerate(texts):
        call.name("text" if len(texts) == 1 else f"text_{i + 1}", text, _text(text))
    names = [call.names[id(text)] for text in texts]
    parts = [] if run.model is None else ["subject"]
    options = []
    for parameter in one.parameters:
        value = given[parameter.name]
        if parameter.positional:
            parts.append(call.value(value, parameter.name))
        elif not _default(value, parameter.default):
            options.append(f"{parameter.name}={call.value(value, parameter.name)}")
    if run.settings.seed:
        options.append(f"settings=ux.Settings(seed={run.settings.seed})")
    parts += names if len(names) < 2 else [f"({', '.join(names)})"]
    last = f"record = {one.in_python}({', '.join([*parts, *options])})"
    return "\n".join(["import unexplained as ux", *call.imports, *call.before, *call.made, last])


def _default(value: Any, default: Any) -> bool:
    """Whether it is what nobody asked for; arrays and models never are."""
    return value is default or (isinstance(value, (*PLAIN, tuple)) and value == default)


def _first(values: Iterable[Any]) -> Subject | None:
    """The first model among what was given: it cut the text where the run has none of its own."""
    for value in values:
        inner = _first(value) if isinstance(value, Mapping | list | tuple) else value
        if isinstance(inner, Subject):
            return inner
    return None


def _text(text: Text) -> str:
    kind, counts = ("pairs", "fit_pairs") if text.pairs else ("documents", "fit_documents")
    made = "ux.pairs" if text.pairs else "ux.text"
    block = "" if text.pairs else f", block={text.block}"
    return (
        f"{made}({text.name!r}, subject, {kind}={len(text.eval)}, {counts}={len(text.fit)}{block})"
    )


class _Call:
    """Lines that a call needs, each once and in their order."""

    def __init__(self) -> None:
        self.imports: dict[str, None] = {}
        self.before: dict[str, None] = {}
        """Claims, and what they name."""
        self.made: list[str] = []
        """Models and texts."""
        self.names: dict[int, str] = {}
        self._written: set[int] = set()

    def name(self, name: str, value: Any, code: str) -> str:
        """Give a model or a text a name."""
        self.made.append(f"{name} = {code}")
        self.names[id(value)] = name
        return name

    def value(self, value: Any, name: str) -> str:
        """A value as code; what it needs to be defined goes before."""
        if id(value) in self.names:
            return self.names[id(value)]
        if isinstance(value, PLAIN):
            return repr(str(value) if isinstance(value, Path) else value)
        if isinstance(value, Subject):
            return f"ux.load({value.name!r})"
        if isinstance(value, Text):
            return self.name(f"text_{len(self.made)}", value, _text(value))
        if isinstance(value, Explanation):
            return self._explanation(value)
        if isinstance(value, Mapping):
            items = (f"{self.value(k, name)}: {self.value(v, name)}" for k, v in value.items())
            return f"{{{', '.join(items)}}}"
        if isinstance(value, list | tuple):
            inner = ", ".join(self.value(one, name) for one in value)
            return (
                f"[{inner}]" if isinstance(value, list) else f"({inner}{',' * (len(value) == 1)})"
            )
        if isinstance(value, Frozen) or _is_ours(value):
            return self._data(value)
        self._missing(name, value, "as it was given")
        return name

    def _data(self, value: Any) -> str:
        """Data of the package by its fields: a head's score, a task."""
        kind = type(value)
        self.imports[f"from {kind.__module__} import {kind.__name__}"] = None
        fields = kind.model_fields if isinstance(value, Frozen) else kind.__dataclass_fields__
        told = (
            f"{name}={self.value(getattr(value, name), name)}"
            for name, field in fields.items()
            if not _default(getattr(value, name), field.default)
        )
        return f"{kind.__name__}({', '.join(told)})"

    def _explanation(self, one: Explanation) -> str:
        known = next((n for n, e in LIBRARY.all().items() if e.function is one.function), None)
        last = one.last or one  # by way of intermediates, which its decorator names
        if known is None and (code := "\n".join(_code(last))):
            self._function(last.function, code)
        elif known is None:
            whose = f"(gives={last.gives!r}, reads={list(last.reads)!r}) of which no source is kept"
            self._missing(
                last.function.__name__, last, f"{whose}: typed at a prompt, or made by code"
            )
        name = last.function.__name__ if known is None else f"ux.LIBRARY.get({known!r})"
        return name + {"gate": ".gated()", "affine": ".affine()"}.get(one.readout, "")

    def _function(self, function: Any, code: str) -> None:
        """A function as its author wrote it, after what it names."""
        if id(function) in self._written:
            return
        self._written.add(id(function))
        scope = {**function.__globals__, **dict(cells(function))}
        for name in sorted(_named(code) - {"ux", function.__name__}):
            self._define(name, scope.get(name), function)
        self.before.setdefault(code)

    def _define(self, name: str, value: Any, where: types.FunctionType) -> None:
        """What a function names: an import, a constant, a function of its author's, or a comment."""
        if isinstance(value, types.ModuleType):
            alias = "" if name == value.__name__ else f" as {name}"
            self.imports[f"import {value.__name__}{alias}"] = None
        elif _can_be_imported(value):
            alias = "" if name == value.__qualname__ else f" as {name}"
            self.imports[f"from {value.__module__} import {value.__qualname__}{alias}"] = None
        elif isinstance(value, Explanation):
            self._explanation(value)
        elif isinstance(value, types.FunctionType) and (source := _source(value)):
            self._function(value, source)
        elif _is_constant(value):
            self.before.setdefault(f"{name} = {value!r}")
        else:
            self._missing(name, value, f"that '{where.__name__}' reads in {_file(where)}")

    def _missing(self, name: str, value: Any, whose: str) -> None:
        self.before.setdefault(f"# Define '{name}' first: the {type(value).__name__} {whose}.")


def _is_ours(value: Any) -> bool:
    """Whether it is a dataclass of the package."""
    return dataclasses.is_dataclass(value) and root_of(type(value).__module__) == PACKAGE


def _named(code: str) -> set[str]:
    """What some code reads and does not define."""
    try:
        every = [symtable.symtable(code, "claim", "exec")]
    except SyntaxError:
        return set()
    own = {one.get_name() for one in every[0].get_symbols() if one.is_assigned()}
    names: set[str] = set()
    while every:
        table = every.pop()
        every += table.get_children()
        names |= {s.get_name() for s in table.get_symbols() if s.is_global() and s.is_referenced()}
    return names - own - set(dir(builtins))


def _can_be_imported(value: Any) -> bool:
    """Whether a function or class is found by its name in a library or in this package."""
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not module or not name or not (is_library(value) or root_of(module) == PACKAGE):
        return False
    return getattr(sys.modules.get(module), name, None) is value


def _is_constant(value: Any) -> bool:
    """Whether its own writing is code that gives it again; folders of a machine are nobody else's."""
    if isinstance(value, str) and Path(value).is_absolute():
        return False
    try:
        return len(repr(value)) <= LONGEST and bool(ast.literal_eval(repr(value)) == value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return False


def _file(function: types.FunctionType) -> str:
    """Where a function was written, without the folders."""
    path = Path(function.__code__.co_filename)
    return path.name if path.suffix == ".py" else "a notebook or at a prompt"


def _is_code(words: str) -> bool:
    try:
        return bool(ast.parse(words).body)
    except (SyntaxError, ValueError):
        return False


def _source(function: Callable[..., Any]) -> str:
    """As its author wrote it, if that is at hand."""
    try:
        return f"\n{dedent(inspect.getsource(function)).rstrip()}\n"
    except (OSError, TypeError):
        return ""


def _code(one: Explanation) -> Iterator[str]:
    """As its author wrote it; without a file, what is counted of it, which lacks the decorator.

    Nothing where that is bytecode.
    """
    if source := _source(one.function):
        yield source
    elif _is_code(counted := source_of(one.function).text):
        yield f"\n@ux.explanation(gives={one.gives!r}, reads={list(one.reads)!r})"
        yield f"{counted}\n"
