"""Things with numbers in them, with other numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from pydantic import BaseModel

from unexplained.record import Number


def each_number(thing: Any, change: Callable[[Number], Number]) -> Any:
    """The same with every number in it changed."""
    if isinstance(thing, Number):
        return change(thing)
    if isinstance(thing, BaseModel):
        names = type(thing).model_fields
        return thing.model_copy(update={n: each_number(getattr(thing, n), change) for n in names})
    if is_dataclass(thing) and not isinstance(thing, type):
        names = [field.name for field in fields(thing)]
        return replace(thing, **{n: each_number(getattr(thing, n), change) for n in names})
    if isinstance(thing, Mapping):
        return {key: each_number(value, change) for key, value in thing.items()}
    if isinstance(thing, tuple) and hasattr(thing, "_fields"):
        return type(thing)(*(each_number(value, change) for value in thing))
    if isinstance(thing, tuple | list):
        return type(thing)(each_number(value, change) for value in thing)
    return thing
