"""Keys of blocks, rows and columns, and the ids that they make together: `section/table/row/column`."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import AfterValidator


def step(key: str) -> str:
    """A key is one step of an id: names of models have slashes of their own."""
    if not key.strip():
        raise ValueError("a key must not be empty")
    return key.replace("/", ":")


Key = Annotated[str, AfterValidator(step)]

Reference: TypeAlias = str
"""Where a number stands, as seen from the picture's section: `table/row/column`."""


def below(above: str, key: str) -> str:
    """The id of what stands under a key.

    >>> below("", "numbers"), below("numbers", "mean")
    ('numbers', 'numbers/mean')
    """
    return f"{above}/{key}" if above else key
