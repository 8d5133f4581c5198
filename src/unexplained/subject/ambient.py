"""Torch's state around a measurement: what is set outside must not move a number inside.

Autocast, inference mode, a default device and low-precision products are properties of a thread or
of the whole process, set by whoever called us. They are put aside for the time that something is
computed, and a default type other than float32, which is everybody's, is refused by name.

One lock for all passes: hooks stand on modules that every thread sees, and torch's product
setting is the process's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch

from unexplained.errors import MeasurementError

P = ParamSpec("P")
R = TypeVar("R")

LOCK = threading.RLock()
"""Held while a model is loaded or runs: a second thread waits."""

_KINDS = ("cpu", "cuda")


@contextmanager
def neutral() -> Iterator[None]:
    """Compute inside as if nobody had set anything; what was set is back afterwards.

    Raises:
        MeasurementError: Torch's default type is not float32.
    """
    if torch.get_default_dtype() != torch.float32:
        kind = str(torch.get_default_dtype()).removeprefix("torch.")
        raise MeasurementError(
            "A measurement",
            f"torch's default type is {kind} and the engine computes in the model's own",
            "torch.set_default_dtype(torch.float32) first; a model's type is chosen at load.",
        )
    with ExitStack() as aside:
        if torch.is_inference_mode_enabled():
            aside.enter_context(torch.inference_mode(False))
            aside.enter_context(torch.no_grad())  # as it was; who wants gradients says so
        for kind in _KINDS:
            if torch.is_autocast_enabled(kind):
                aside.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device().type != "cpu":
            aside.enter_context(torch.device("cpu"))
        yield


def neutrally(function: Callable[P, R]) -> Callable[P, R]:
    """A function that computes in `neutral` surroundings, whatever they are where it is called."""

    @wraps(function)
    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        with neutral():
            return function(*args, **kwargs)

    return inside


@contextmanager
def alone() -> Iterator[None]:
    """Neutral surroundings, no other thread in a pass, and float32 products on GPUs in float32."""
    with LOCK, neutral():
        products: Any = torch.backends.cuda.matmul
        before = products.fp32_precision
        if before == "ieee" or not torch.cuda.is_available():
            yield
            return
        products.fp32_precision = "ieee"
        try:
            yield
        finally:
            products.fp32_precision = before
