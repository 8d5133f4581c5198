"""Whose pass it is: hooks stand on modules, and a pass is not the only one who calls those."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from unexplained.subject.attention import attender, listener

_running: ContextVar[object | None] = ContextVar("running", default=None)
"""Whose pass this thread is in."""


@contextmanager
def passing(owner: object) -> Iterator[None]:
    """A pass of whoever it is: only inside do the hooks act that `own_hook` made for it."""
    token = _running.set(owner)
    try:
        yield
    finally:
        _running.reset(token)


def own_hook(owner: object, hook: Callable[..., Any]) -> Callable[..., Any]:
    """A hook for one pass alone.

    Hooks stand on modules, and somebody else may call those meanwhile: another thread, the owner
    of the model, an edit that runs it.
    """

    def ours(*seen: Any) -> Any:
        return hook(*seen) if _running.get() is owner else None

    return ours


@contextmanager
def aside() -> Iterator[None]:
    """While code of others runs inside a pass: what it calls is no part of the pass."""
    variables: tuple[ContextVar[Any], ...] = (_running, listener, attender)
    tokens = [variable.set(None) for variable in variables]
    try:
        yield
    finally:
        for variable, token in zip(variables, tokens, strict=True):
            variable.reset(token)
