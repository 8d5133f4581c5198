"""Torch's state around a measurement: what is set outside must not move a number inside.

Autocast, inference mode, a default type or device and low-precision products are properties of a
thread or of the whole process, set by whoever called us. They are put aside for the time that
something is computed.

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
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import _get_current_function_mode_stack
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from unexplained.errors import MeasurementError

P = ParamSpec("P")
R = TypeVar("R")

LOCK = threading.RLock()
"""Held while a model is loaded or runs: a second thread waits."""

_KINDS = ("cpu", "cuda")

_ATTENTION: tuple[Callable[[], bool], ...] = (
    torch.backends.cuda.math_sdp_enabled,
    torch.backends.cuda.flash_sdp_enabled,
    torch.backends.cuda.mem_efficient_sdp_enabled,
)
_KERNELS = [SDPBackend.MATH, SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION]
"""Kernels of fused attention, which torch chooses from where nobody forbids it."""


@contextmanager
def neutral() -> Iterator[None]:
    """Compute inside as if nobody had set anything; what was set is back afterwards.

    Raises:
        MeasurementError: Code of somebody's stands between torch's functions and who calls them.
    """
    for mode in _modes():
        if not type(mode).__module__.startswith("torch."):
            raise MeasurementError(
                f"A measurement inside a {type(mode).__name__}",
                "it is a mode of torch that may change what every function computes",
                "Measure outside of it.",
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
        if _float32_by_default.depth or torch.get_default_dtype() != torch.float32:
            aside.enter_context(_float32_by_default)
        yield


def _modes() -> list[object]:
    """Who stands between torch's functions and their callers, in this thread."""
    stacks: tuple[Any, ...] = (_get_current_function_mode_stack, _get_current_dispatch_mode_stack)
    return [mode for stack in stacks for mode in stack()]


class _Float32ByDefault:
    """Torch's default type is the process's: the first who comes sets it, the last puts it back."""

    def __init__(self) -> None:
        self.depth = 0
        self._before = torch.float32

    def __enter__(self) -> None:
        with LOCK:
            if self.depth == 0:
                self._before = torch.get_default_dtype()
                torch.set_default_dtype(torch.float32)
            self.depth += 1

    def __exit__(self, *error: object) -> None:
        with LOCK:
            self.depth -= 1
            if self.depth == 0:
                torch.set_default_dtype(self._before)


_float32_by_default = _Float32ByDefault()


def neutrally(function: Callable[P, R]) -> Callable[P, R]:
    """A function that computes in `neutral` surroundings, whatever they are where it is called."""

    @wraps(function)
    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        with neutral():
            return function(*args, **kwargs)

    return inside


@contextmanager
def alone() -> Iterator[None]:
    """Neutral surroundings, no other thread in a pass, and torch's own kernels in full float32."""
    with LOCK, neutral(), ExitStack() as aside:
        if not all(enabled() for enabled in _ATTENTION):
            kernels: Any = sdpa_kernel
            aside.enter_context(kernels(_KERNELS))
        products: Any = torch.backends.cuda.matmul
        before = products.fp32_precision
        if before != "ieee" and torch.cuda.is_available():
            products.fp32_precision = "ieee"
            aside.callback(setattr, products, "fp32_precision", before)
        yield
