"""What `load` takes where its caller says nothing: a command line says it once for all its models."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from unexplained.errors import MeasurementError, SubjectError


@dataclass(frozen=True)
class Opening:
    """On which device, and in which kind of numbers."""

    device: str | None = None
    """None: a GPU if there is one."""
    dtype: str = "float32"


NOW: ContextVar[Opening] = ContextVar("opening", default=Opening())  # noqa: B039  (frozen)


NODES = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/kfd", "/dev/dxg")
"""What a Linux that has a GPU for torch has, of NVIDIA, AMD and under Windows."""


def require_device(device: str | None) -> None:
    """Refuse a GPU where there is none, before torch is imported; `load` looks more closely.

    Raises:
        SubjectError: There is none.
    """
    wanted = (device or "").partition(":")[0] == "cuda"
    if wanted and sys.platform == "linux" and not any(map(os.path.exists, NODES)):
        raise SubjectError(
            f"The device '{device}'", "it cannot be used here: no GPU is there", "There are: cpu."
        )


def require_full_precision(what: str) -> None:
    """Refuse half precision for effects of single components, before a model is loaded.

    Raises:
        MeasurementError: The models are to be loaded in it.
    """
    if NOW.get().dtype in HALF:
        raise MeasurementError(
            f"{what} in {NOW.get().dtype}", "in half precision its rounding is as large as such effects",
            "Load the model in float32 (dtype='float32'; --dtype float32).",
        )  # fmt: skip


HALF = ("float16", "bfloat16")


@contextmanager
def opening(device: str | None = None, dtype: str = "float32") -> Iterator[None]:
    """Within, models are opened so, unless `load` is told otherwise."""
    require_device(device)
    before = NOW.set(Opening(device, dtype))
    try:
        yield
    finally:
        NOW.reset(before)
