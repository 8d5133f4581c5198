"""What `load` takes where its caller says nothing: a command line says it once for all its models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Opening:
    """On which device, and in which kind of numbers."""

    device: str | None = None
    """None: a GPU if there is one."""
    dtype: str = "float32"


NOW: ContextVar[Opening] = ContextVar("opening", default=Opening())  # noqa: B039  (frozen)


@contextmanager
def opening(device: str | None = None, dtype: str = "float32") -> Iterator[None]:
    """Within, models are opened so, unless `load` is told otherwise."""
    before = NOW.set(Opening(device, dtype))
    try:
        yield
    finally:
        NOW.reset(before)
