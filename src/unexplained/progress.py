"""How long work says how far it is: one type for what is told of a task by name, one for a count."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and of how much."""
Count = Callable[[int, int], None]
"""Told how much is done, and of how much, where whoever asked knows of what."""


def silent(what: str, done: int, total: int) -> None:
    """Tell nobody."""
