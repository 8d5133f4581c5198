"""Every number of a record, wherever its fields have it: what drawing must not lose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace

from pydantic import BaseModel

from unexplained.record import Number


def numbers_in(value: object, path: str = "") -> Iterator[tuple[str, Number]]:
    """Numbers in fields, tuples and dictionaries, with the way to each."""
    if isinstance(value, Number):
        yield path, value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from numbers_in(getattr(value, name), f"{path}.{name}")
    elif is_dataclass(value):
        for field in fields(value):
            yield from numbers_in(getattr(value, field.name), f"{path}.{field.name}")
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from numbers_in(item, f"{path}[{name}]")
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from numbers_in(item, f"{path}[{i}]")


def all_different(value: object) -> object:
    """The same with another value in every number, so that none can pass for another."""
    count = iter(range(1, 1_000_000))

    def of(item: object) -> object:
        if isinstance(item, Number):
            return Number(value=0.5 + next(count) / 1e4, low=0.5, high=0.9, unit=item.unit)
        if isinstance(item, BaseModel):
            new = {name: of(getattr(item, name)) for name in type(item).model_fields}
            return item.model_copy(update=new)
        if is_dataclass(item) and not isinstance(item, type):
            return replace(item, **{one.name: of(getattr(item, one.name)) for one in fields(item)})
        if isinstance(item, dict):
            return {name: of(one) for name, one in item.items()}
        return tuple(of(one) for one in item) if isinstance(item, list | tuple) else item

    return of(value)
