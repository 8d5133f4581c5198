"""Kinds of values: which are plain, and what an object or a class holds."""

from __future__ import annotations

import dataclasses
import enum
import functools
import inspect
import types
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from re import Pattern
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unexplained.explanations.language import is_library
from unexplained.text.ngrams import NGram

SCALARS = (bool, int, float, complex, str, type(None))
WORDS = (
    type(Ellipsis), type(NotImplemented), torch.dtype, torch.device, torch.layout, np.dtype,
    torch.memory_format, object, types.GenericAlias, types.UnionType,
)  # fmt: skip
"""Words of the language: they hold nothing."""
WRITTEN = (range, slice, Decimal, Fraction, Pattern)
"""Values that their written form tells apart."""
MAPPINGS = (dict, Counter, OrderedDict, defaultdict, types.MappingProxyType)
SEQUENCES = (list, tuple, deque, torch.Size)
SETS = (set, frozenset)
BASES = (int, float, complex, str, bytes, tuple, list, dict, set, frozenset)
FRAMES = frozenset({"object", "Generic", "Protocol", "ABC", "Enum", "IntEnum", "StrEnum", "Flag",
                     "IntFlag", "ReprEnum"})  # fmt: skip
"""Library classes that an object's class may stand on: they hold nothing of their own."""
_OWN_AFFAIRS = frozenset(
    {"__module__", "__doc__", "__dict__", "__weakref__", "__qualname__", "__annotations__",
     "__slots__", "__parameters__", "__orig_bases__", "__abstractmethods__", "_abc_impl",
     "__dataclass_fields__", "__dataclass_params__", "__match_args__", "__firstlineno__",
     "__static_attributes__", "__annotate_func__", "__annotations_cache__",
     "_is_protocol", "_is_runtime_protocol", "__protocol_attrs__", "__non_callable_proto_members__"}
)  # fmt: skip
_BY_DATACLASS = frozenset(
    {"__init__", "__repr__", "__eq__", "__lt__", "__le__", "__gt__", "__ge__", "__hash__",
     "__setattr__", "__delattr__", "__replace__"}
)  # fmt: skip
MISSING: Any = object()


def state_of(thing: Any) -> list[tuple[str, Any]]:
    """What an object holds, in its dictionary and in slots."""
    found = dict(vars(thing)) if hasattr(thing, "__dict__") else {}
    for kind in type(thing).__mro__:
        for name, slot in vars(kind).items():
            if isinstance(slot, types.MemberDescriptorType) and not is_library(kind):
                found.setdefault(name, getattr(thing, name, MISSING))
    if isinstance(thing, enum.Enum):
        found.pop("__objclass__", None)
    return list(found.items())


def entries_of(kind: type) -> Iterator[tuple[str, Any]]:
    """What is defined in a class by name, code and data; not what Python keeps there for itself."""
    made = vars(kind).get("__dataclass_fields__", {})
    for field in made.values():
        # With slots a default is nowhere else, and what makes one is called by generated code.
        yield field.name, None if field.default is dataclasses.MISSING else field.default
        if field.default_factory is not dataclasses.MISSING:
            yield field.name, field.default_factory
    for name, content in vars(kind).items():
        slot = isinstance(content, types.MemberDescriptorType | types.GetSetDescriptorType)
        if slot or name in _OWN_AFFAIRS or (name, content) == ("__hash__", None):
            continue
        if name not in made and not (made and is_generated(content)):
            yield from ((name, piece) for piece in pieces_of(content))


def pieces_of(content: Any) -> list[Any]:
    """The pieces of a class's entry that hold code or data."""
    if isinstance(content, property):
        return [piece for piece in (content.fget, content.fset, content.fdel) if piece is not None]
    if isinstance(content, functools.cached_property | functools.partialmethod):
        return [content.func, *(getattr(content, "args", ())), getattr(content, "keywords", {})]
    if type(content).__name__ == "_tuplegetter" or type(content).__module__ == "enum":
        return []
    return [content]


def is_generated(content: Any) -> bool:
    """A method that the dataclass decorator wrote: the fields say it all."""
    if not isinstance(content, types.FunctionType) or content.__name__ not in _BY_DATACLASS:
        return False
    file: str = inspect.unwrap(content).__code__.co_filename
    return file == "<string>"


def is_plain(thing: object) -> bool:
    """Data of the kinds that are counted, and what functions are made of."""
    return type(thing) in (
        *SCALARS, bytes, *MAPPINGS, *SEQUENCES, *SETS, Tensor, np.ndarray, NGram,
        types.FunctionType, types.MethodType, functools.partial, type,
    )  # fmt: skip


def written(thing: object) -> str:
    """A value as code would write it, whole: Python cuts long expressions and refuses long numbers."""
    if isinstance(thing, Pattern):
        return f"re.compile({thing.pattern!r}, {thing.flags})"
    return hex(thing) if isinstance(thing, int) and abs(thing) >> 4096 else repr(thing)


def place_in_set(thing: Any) -> tuple[str, str]:
    """An order of a set's members that does not depend on where they lie in memory."""
    if isinstance(thing, types.FunctionType | type):
        return type(thing).__name__, thing.__qualname__
    return type(thing).__name__, written(thing)
